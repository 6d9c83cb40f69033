"""`python -m analysis PATH`: write the report of a study, or the summary of a results folder, from its files alone."""

from __future__ import annotations

import argparse
import sys

from analysis.report import write_report
from analysis.summary import write_summary
from storage.folder import reading
from trainables.errors import InputError
from trainables.images.files import user_path


def main(argv: list[str] | None = None) -> int:
    """Write the page of the folder named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis", description="Write the report of a study, or the summary of a results folder, again."
    )
    parser.add_argument(
        "path", type=user_path, metavar="PATH", help="a study folder, results/<stage>/<study>, or a results folder"
    )
    path = parser.parse_args(argv).path
    try:
        with reading(path):
            is_study = (path / "study.json").exists()
            if is_study and (len(path.parts) < 2 or ".." in path.parts):
                path = path.resolve()  # its page names the results folder, two above it
            print(write_report(path) if is_study else write_summary(path))
    except InputError as error:
        print(f"python -m analysis: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"python -m analysis: {error.filename or path}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
