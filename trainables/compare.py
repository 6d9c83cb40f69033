"""Do these images show the same class? A trained verifier's answer, with its probability.

    python -m trainables.compare --model results/final/STUDY A.png B.png    one image against one
    python -m trainables.compare --model results/final/STUDY NEW/ KNOWN/    each of a folder against each of another

One line for each pair on standard output, tab-separated: first, second, "similar" or "different", and the probability
that they are similar. Exit status: 0 done, 2 input that cannot be used.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from torch import Tensor

from trainables.errors import InputError, printable
from trainables.images.files import Entry, alone, is_there, listing, user_path
from trainables.images.pixels import STRETCHED, decode_picture
from trainables.images.readers import IMAGE_ENDINGS
from trainables.verifier import Verifier

THRESHOLD = 0.5


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the whole usage."""
        raise InputError(f"{message}; see --help")


def parser() -> Parser:
    """Return the command line."""
    p = Parser(
        prog="python -m trainables.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--model", type=user_path, required=True, metavar="STUDY", help="a finished study's folder")
    p.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        metavar="P",
        help="score of difference, 0 to 1, below which a pair is called similar (default: 0.5; report.json of a final "
        "study has those chosen on validation)",
    )
    p.add_argument(
        "--own-code", action="store_true", help="run the code of a verifier whose encoder is its user's own (--encoder)"
    )
    p.add_argument("first", type=user_path, metavar="A", help="an image, or a folder of images")
    p.add_argument("second", type=user_path, metavar="B", help="an image, or a folder of images")
    return p


def compare(
    verifier: Verifier, first: Path, second: Path, threshold: float
) -> Iterator[tuple[Path, Path, bool, float]]:
    """Yield both paths, whether they are called similar, and the probability of it, for each pair of images.

    Raises InputError for a path that is no image and no folder of some, or an image that cannot be read.
    """
    files, others = _images(first), _images(second)
    one, other = (_embed(verifier, paths) for paths in (files, others))
    for row, file in enumerate(files):
        against = [embedding[row].expand_as(all_others) for embedding, all_others in zip(one, other, strict=True)]
        for path, score in zip(others, verifier.score(against, other).tolist(), strict=True):
            yield file, path, score < threshold, 1 - score


def _images(path: Path) -> dict[Path, Entry]:
    """The image at `path`, or those in the folder there, by what to call them."""
    if not is_there(path):
        raise InputError(f"{path}: no such file or folder; give an image or a folder of images")
    if not path.is_dir():
        return {path: alone(path)}
    found = {path / file.path: file for file in listing(path).files if file.ending in IMAGE_ENDINGS}
    if not found:
        raise InputError(f"{path}: no images in this folder")
    return found


def _embed(verifier: Verifier, images: Mapping[Path, Entry]) -> list[Tensor]:
    chips = []
    for path, file in images.items():
        try:
            picture = decode_picture(file.read(), verifier.side)
        except InputError as error:
            raise InputError(f"{path}: {error}; give a readable image") from error
        if STRETCHED in picture.remarks and not verifier.takes_stretched:
            raise InputError(
                f"{path}: has more than 8 bits a channel, and the verifier was trained on arrays, whose scale such a "
                "file does not share; give 8-bit images"
            )
        chips.append(picture.pixels)
    return verifier.embed(np.stack(chips))


def _failed_checks(study: Path) -> list[str]:
    """What the report beside a verifier says against it: checks that failed, or could not tell learning from luck."""
    try:
        findings = json.loads((study / "report.json").read_text(encoding="utf-8"))["findings"]
        return [
            f"a check of this verifier {'failed' if finding['severity'] == 'fail' else 'could not judge'}: "
            f"{finding['id']} ({finding['evidence']})"
            for finding in findings
            if finding["severity"] == "fail" or (finding["id"], finding["severity"]) == ("chance", "note")
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # a verifier may be kept without its report
        return []


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal's encoding does not have
    try:
        args = parser().parse_args(argv)
        if not 0 <= args.threshold <= 1:
            raise InputError(f"--threshold {args.threshold:g}: a score lies in 0 to 1")
        verifier = Verifier.load(args.model, args.own_code)
        for doubt in _failed_checks(args.model):
            print(f"note: {args.model}: {printable(doubt)}", file=sys.stderr)
        for first, second, similar, probability in compare(verifier, args.first, args.second, args.threshold):
            answer = "similar" if similar else "different"
            print(f"{printable(str(first))}\t{printable(str(second))}\t{answer}\t{probability:.4f}")
    except InputError as error:
        print(f"python -m trainables.compare: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the lines has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
