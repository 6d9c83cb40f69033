"""How a page is made: one jinja environment, numbers as people read them, pictures inside the page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

_HERE = Path(__file__).parent

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=True,  # names of classes, files and arms are text, never markup
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_page(template: str, **values: Any) -> str:
    """Return the page that `template` makes of `values`.

    The page's own script is the only one that a browser will run in it, and nothing is fetched from anywhere: its
    content policy names the script by its digest.
    """
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()
    return _ENVIRONMENT.get_template(template).render(script=Markup(script), digest=digest, **values)


@dataclass(frozen=True)
class Picture:
    """A figure inside the page: what it is, what is seen in it, and its PNG in base64."""

    caption: str
    seen: str
    png: str


def embedded(folder: Path, captions: Mapping[str, str], seen: Mapping[str, str]) -> list[Picture]:
    """Return the pictures that are there; both mappings are by file name, the caption stands in for what is seen."""
    return [
        Picture(caption, seen.get(name, caption), base64.b64encode((folder / name).read_bytes()).decode())
        for name, caption in captions.items()
        if (folder / name).exists()
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


_ENVIRONMENT.filters |= {"percent": _percent, "number": _number}
