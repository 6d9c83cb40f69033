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
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from trainables.command_line import Parser, add_own_code
from trainables.errors import InputError, printable
from trainables.images.files import is_there, listing, user_path
from trainables.images.readers import IMAGE_ENDINGS
from trainables.verifier import Verifier


def parser() -> Parser:
    """Return the command line."""
    p = Parser(
        prog="python -m trainables.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--model",
        type=user_path,
        required=True,
        metavar="STUDY",
        help="a finished study's folder, or the verifier.safetensors in it",
    )
    p.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="score of difference, 0 to 1, below which a pair is called similar (default: the verifier's own, 0.5; "
        "report.json of a final study has those chosen on validation)",
    )
    add_own_code(p)
    p.add_argument("first", type=user_path, metavar="A", help="an image, or a folder of images")
    p.add_argument("second", type=user_path, metavar="B", help="an image, or a folder of images")
    return p


def compare(verifier: Verifier, first: Path, second: Path) -> Iterator[tuple[Path, Path, bool, float]]:
    """Yield both paths, whether they are called similar, and the probability of it, for each pair of images.

    Raises InputError for a path that is no image and no folder of some, or an image that cannot be read.
    """
    files, others = _images(first), _images(second)
    one, other = verifier.embed(files), verifier.embed(others)
    for file, embedding in zip(files, one, strict=True):
        scores = verifier.score(np.broadcast_to(embedding, other.shape), other)
        for path, score in zip(others, scores.tolist(), strict=True):
            yield file, path, score < verifier.threshold, 1 - score


def _images(path: Path) -> list[Path]:
    """The image at `path`, or those in the folder there."""
    if not is_there(path):
        raise InputError(f"{path}: no such file or folder; give an image or a folder of images")
    if not path.is_dir():
        return [path]
    found = [path / file.path for file in listing(path).files if file.ending in IMAGE_ENDINGS]
    if not found:
        raise InputError(f"{path}: no images in this folder")
    return found


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
        if args.threshold is not None and not 0 <= args.threshold <= 1:
            raise InputError(f"--threshold {args.threshold:g}: a score lies in 0 to 1")
        verifier = Verifier.load(args.model, args.threshold, args.own_code)
        for doubt in _failed_checks(args.model if args.model.is_dir() else args.model.parent):
            print(f"note: {args.model}: {printable(doubt)}", file=sys.stderr)
        for first, second, similar, probability in compare(verifier, args.first, args.second):
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
