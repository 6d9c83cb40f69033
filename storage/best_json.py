"""What best.json holds, as one frozen value: the config to use, and why; start.json, of a config given in Python, too.

`read_best` and `write_best` alone read and write these files; `--start` takes either, or one written by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from storage.report_json import Selected
from storage.whole_files import read_json, write_json
from trainables.base_config import Config
from trainables.errors import InputError
from trainables.json_values import from_plain, to_plain

BEST, GIVEN_START = "best.json", "start.json"


@dataclass(frozen=True)
class BestEpoch:
    """The best epoch of the config's trial on the validation pairs; None where a task does not measure that."""

    loss: float
    accuracy: float | None = None
    jaccard: float | None = None


@dataclass(frozen=True)
class Best:
    """The config to use, that of `trial` of an `arm`, and whether it is `adopted` in place of the start, and `why`.

    `val` is None where that trial did not finish; a file written by hand may have the config alone.
    """

    config: Config
    trial: int | None = None
    arm: str | None = None
    val: BestEpoch | None = None
    adopted: bool = False
    why: str = ""

    @staticmethod
    def of(selected: Selected) -> Best:
        """Return what best.json holds of a report's selected config."""
        seen = selected.val
        val = BestEpoch(seen.loss, seen.accuracy, seen.jaccard) if seen else None
        return Best(selected.config, selected.trial, selected.arm, val, selected.adopted, selected.why)


def read_best(path: Path) -> Best:
    """Read a file with a config; raise InputError naming it where it holds none that could be trained."""
    content = read_json(path)
    if "config" not in content:
        raise InputError(f"{path}: has no 'config'; give the best.json of a study folder")
    try:
        return from_plain(Best, content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def write_best(path: Path, best: Best) -> None:
    """Write the file, whole or not at all."""
    write_json(path, to_plain(best))


def write_start(path: Path, config: Config) -> None:
    """Write a config that was given in Python, where it has no file of its own."""
    write_json(path, {"config": config.to_dict()})
