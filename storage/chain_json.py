"""What chain.json holds, as one frozen value: what a chain was asked, and the steps that it has behind it.

`read_chain` and `write_chain` alone read and write the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.study import Start
from storage.study_json import SCHEMA
from storage.whole_files import read_json, write_json
from trainables.base_config import Config
from trainables.errors import InputError
from trainables.json_values import from_plain, to_plain

CHAIN = "chain.json"


@dataclass(frozen=True)
class Step:
    """One stage's round: its study, and the config that the next step starts from; `seconds` is what it took.

    `longer`: its best epochs came last. `line` is what was said of it; `origin` is where its config comes from.
    """

    stage: str
    round: int
    study: str
    adopted: bool
    longer: bool
    line: str
    config: Config
    origin: str
    seconds: float = 0.0  # older chains did not count them

    @property
    def start(self) -> Start:
        """Return what the next step starts from."""
        return Start(self.config, self.origin, found=True)


@dataclass(frozen=True)
class ChainRecord:
    """A chain: `asked` are the settings and the data that decide its figures; `finished` is None until its summary."""

    asked: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    started: str = ""
    finished: str | None = None
    schema: int = SCHEMA


def read_chain(folder: Path) -> ChainRecord:
    """Read the chain.json of a chain's folder; raise InputError for a value that makes no sense."""
    file = folder / CHAIN
    content = read_json(file)
    if content.get("schema") != SCHEMA:
        raise InputError(f"{file}: schema {content.get('schema')!r}; this version reads schema {SCHEMA}")
    try:
        return from_plain(ChainRecord, content)
    except InputError as error:
        raise InputError(f"{file}: {error}; it was damaged or edited") from error


def read_chains(folder: Path, name: str | None) -> dict[str, ChainRecord]:
    """Read the chains of a folder by their names, or, if it is given, that of `name` alone.

    Any of them might be the one that is resumed without a name, so a damaged one raises InputError then.
    """
    there = [path.parent for path in sorted(folder.glob(f"*/{CHAIN}"))]
    return {path.name: read_chain(path) for path in there if name in (None, path.name)}


def write_chain(folder: Path, chain: ChainRecord) -> None:
    """Write the chain.json of a chain's folder, whole or not at all."""
    write_json(folder / CHAIN, to_plain(chain))
