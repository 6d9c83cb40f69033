"""Which images a study is about, and how they are to be read: a value that study.json keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainables.config import SIDE

SYNTHETIC = "synthetic"
IN_MEMORY = "images in memory"  # of a program: no path leads to them, so no command can name them
SPLITS = ("grouped", "random", "classes")
BY_FOLDER, BY_NOTHING = "folder", "none"


@dataclass(frozen=True)
class Source:
    """Which chips, and how they are read, checked and split."""

    path: str = SYNTHETIC
    split: str = "grouped"
    drop_small_classes: bool = False
    skip_bad: bool = False
    ship_class: str | None = None
    group_by: str = BY_FOLDER
    merge_splits: bool = False
    side: int = SIDE  # at which images are read: follows from the starting config, so no option says it

    def options(self) -> list[str]:
        """Return the command-line arguments that give this source again."""
        options = [] if self.path in (SYNTHETIC, IN_MEMORY) else ["--data", self.path]
        options += [] if self.split == "grouped" else ["--split", self.split]
        options += [] if self.ship_class is None else ["--ship-class", self.ship_class]
        options += [] if self.group_by == BY_FOLDER else ["--group-by", self.group_by]
        options += ["--merge-splits"] * self.merge_splits
        return options + ["--drop-small-classes"] * self.drop_small_classes + ["--skip-bad"] * self.skip_bad

    @classmethod
    def from_options(cls, options: Sequence[str], grouped: bool) -> Source:
        """Return what `options` wrote, of a study that kept nothing else.

        Before groups were known (not `grouped`), folders without an image were passed over as well.
        """
        values = {
            option: value for option, value in zip(options, [*options[1:], ""], strict=True) if option.startswith("--")
        }
        return cls(
            path=values.get("--data", SYNTHETIC),
            split=values.get("--split", "grouped"),
            drop_small_classes="--drop-small-classes" in values or not grouped,
            skip_bad="--skip-bad" in values,
            ship_class=values.get("--ship-class"),
            group_by=values.get("--group-by", BY_FOLDER) if grouped else BY_NOTHING,
            merge_splits="--merge-splits" in values,
        )
