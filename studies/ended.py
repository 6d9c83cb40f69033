"""How a command can end; what its exit status is then is run_search.py's to say."""

from __future__ import annotations

from typing import Literal

Ended = Literal["done", "nothing finished", "halted", "interrupted"]
