"""Search hyperparameters of a Siamese verifier, one stage at a time.

    python run_search.py --stage lr                     on the embedded simulated radar chips
    python run_search.py --stage lr --data YOUR_IMAGES  on a folder of class folders, .zip, .npz or Statoil .json
    python run_search.py --stage all                    every stage in turn, from the baseline to the final test

Progress goes to standard error; the last line of standard output is the path of the report.
Exit status: 0 done, 1 no trial finished or the run had to halt, 2 wrong usage or input that cannot be used,
130, 143 or 129 ended by Ctrl-C, SIGTERM or SIGHUP.
"""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

# before NumPy loads: its matrices here are small, and on busy cores its threads mostly wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from search_spaces.stages import STAGES, stage_named
from studies import stop
from studies.arguments import check_encodable
from studies.command import plans, run_all, run_resumed, run_stage
from studies.options import ALL, STAGE_NAMES, parser, request, typed, where
from studies.own_files import PYTHON, own_stage
from trainables.errors import InputError, what_happened

if TYPE_CHECKING:
    from studies.run_study import Ended

STATUS: Mapping[Ended, int] = {"done": 0, "nothing finished": 1, "halted": 1}  # interrupted: by which signal


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    with stop.heeded():
        try:
            ended = _main(argv)
            sys.stdout.flush()
        except KeyboardInterrupt:
            told = stop.told() or signal.SIGINT
            print(f"run_search.py: ended by {'Ctrl-C' if told is signal.SIGINT else told.name}", file=sys.stderr)
            ended = "interrupted"
        except InputError as error:
            print(f"run_search.py: {error}", file=sys.stderr)
            return 2
        except BrokenPipeError:  # as with `| head`: nobody reads any more, and nobody needs to be told
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more at its end
            return 128 + signal.SIGPIPE
        except OSError as error:  # where a study has been begun, it says itself what is kept
            print(f"run_search.py: {what_happened(error)}", file=sys.stderr)
            return 1
        return stop.status() if ended == "interrupted" else STATUS[ended]


def _main(argv: Sequence[str] | None) -> Ended:
    args = parser(__doc__).parse_args(argv)
    check_encodable(sys.argv[1:] if argv is None else argv)
    if args.list:
        print("\n".join(f"{stage.name:16s} {stage.question}" for stage in STAGES))
        print(f"{'FILE.py':16s} One of your own (docs/usage.md).")
        print(f"{ALL:16s} All of them in turn, each from what the ones before adopted; resumes where it stopped.")
        return "done"
    known = f"the stages are {', '.join(STAGE_NAMES)}, or FILE.py with one of your own"
    if args.stage is None:
        raise InputError(f"--stage is missing; {known}")
    own = own_stage(args.stage) if args.stage.endswith(PYTHON) else None
    if own is None and args.stage not in STAGE_NAMES:
        raise InputError(f"unknown stage {args.stage!r}; {known}")
    asked, stage = request(args, own), own.stage if own else None if args.stage == ALL else stage_named(args.stage)
    if args.dry_run:
        if args.resume and stage:
            raise InputError("--dry-run with --resume: a study that goes on has its plan in its study.json")
        print(plans(asked, where(args), stage))
        return "done"
    if stage is None:
        return run_all(asked, where(args))
    resumed = functools.partial(run_resumed, typed=typed(argv)) if args.resume else run_stage
    conducted = resumed(asked, where(args), stage)
    print(conducted.record.page)
    return conducted.ended


if __name__ == "__main__":
    ended = main()
    gc.freeze()  # else Python goes through all that torch and Ray have loaded once more: a second or two
    sys.exit(ended)
