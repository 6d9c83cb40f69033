"""Search hyperparameters of a Siamese verifier, one stage at a time.

    python run_search.py --stage lr                     on the embedded simulated radar chips
    python run_search.py --stage lr --data YOUR_IMAGES  on a folder of class folders, .zip, .npz or Statoil .json
    python run_search.py --stage all                    every stage in turn, from the baseline to the final test

Progress goes to standard error; the last line of standard output is the path of the report.
Exit status: 0 done, 1 no trial finished or the run had to halt, 2 wrong usage or input that cannot be used,
130, 143 or 129 ended by Ctrl-C, SIGTERM or SIGHUP.
"""

from __future__ import annotations

import argparse
import functools
import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

# before NumPy loads: its matrices here are small, and on busy cores its threads mostly wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from search_spaces.stages import OPTIONAL, STAGES, stage_named
from search_spaces.study import SAMPLERS, SCHEDULERS
from storage.source import BY_FOLDER, SYNTHETIC, Source
from studies import stop
from studies.arguments import amount, check_encodable, folder, grouping, minutes, positive, seed
from studies.command import plans, run_all, run_resumed, run_stage
from studies.mirror import MIRROR_MODES
from studies.request import SMOKE, Request
from studies.resources import Resources
from trainables.errors import InputError, what_happened
from trainables.images.files import user_path

if TYPE_CHECKING:
    from studies.workshop import Where

ALL = "all"
STAGE_NAMES = (*(stage.name for stage in STAGES), ALL)
INTERRUPTED = 130  # what a study returns; which signal it was is the process's to say


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the whole usage."""
        raise InputError(f"{message}; see --help")


def parser() -> Parser:
    """Return the command line of docs/design, theme by theme."""
    p = Parser(prog="run_search.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = p.add_argument_group("what is asked")
    what.add_argument("--stage", metavar="STAGE", help=f"one of: {', '.join(STAGE_NAMES)}")
    what.add_argument(
        "--start",
        type=user_path,
        metavar="BEST.JSON",
        help="start from this config (default: the newest adopted one of the stages before)",
    )
    what.add_argument(
        "--resume",
        action="store_true",
        help="go on with --study, or with the stage's newest study, as it was started; more --trials add to it",
    )
    what.add_argument("--with", dest="optional", choices=OPTIONAL, nargs="+", help="ask this too, in --stage all")
    what.add_argument("--list", action="store_true", help="list the stages and their questions, and exit")
    what.add_argument("--dry-run", action="store_true", help="print the plan, train nothing, write nothing")
    what.add_argument(
        "--smoke",
        action="store_true",
        help=f"go through every part in under a minute ({SMOKE.trials} trials of {SMOKE.epochs} epochs)",
    )
    data = p.add_argument_group("data")
    data.add_argument(
        "--data",
        default=SYNTHETIC,
        metavar="PATH",
        help="class folders, .zip, .npz (X_train, Y_train), Statoil .json, or kaggle:OWNER/NAME "
        "(default: simulated chips)",
    )
    data.add_argument(
        "--split",
        choices=("grouped", "random"),
        default="grouped",
        help="keep flipped copies on one side (default), or split chip by chip",
    )
    data.add_argument(
        "--ship-class",
        metavar="CLASS",
        help="class of the final's ship task (default: the class called ship, else the first)",
    )
    data.add_argument(
        "--group-by",
        type=grouping,
        default=BY_FOLDER,
        metavar="WHAT",
        help="what is kept on one side of the split: folders inside a class folder (folder, default), files whose "
        "names begin alike (prefix:REGEX), or nothing (none)",
    )
    data.add_argument(
        "--merge-splits", action="store_true", help="take train, test, ... of a ready-made split as one set"
    )
    data.add_argument("--drop-small-classes", action="store_true", help="go on without classes of fewer than 10 chips")
    data.add_argument("--skip-bad", action="store_true", help="go on without unreadable images, and list them")
    search = p.add_argument_group("search")
    search.add_argument("--trials", type=positive, metavar="N", help="trials in all arms (default: the stage's)")
    search.add_argument(
        "--rounds",
        type=positive,
        metavar="N",
        help="let the checks ask for more trials, in wider or narrower ranges, up to N - 1 times (default: 1)",
    )
    search.add_argument("--epochs", type=positive, metavar="N", help="epochs of every trial (default: the stage's)")
    search.add_argument(
        "--repeats", type=positive, metavar="N", help="fresh seeds that decide, at most (default: the stage's)"
    )
    search.add_argument(
        "--minutes",
        type=minutes,
        metavar="M",
        help="plan trials and repeats to fit, from the time of the first trials, in place of --trials and --repeats",
    )
    search.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="seed of suggestions and training; split and pairs stay (default: 0)",
    )
    search.add_argument("--sampler", choices=SAMPLERS, default="qmc", help="quasi-random (default), TPE or random")
    search.add_argument(
        "--scheduler", choices=SCHEDULERS, default="none", help="asha stops weak trials early (default: none)"
    )
    where = p.add_argument_group("where")
    where.add_argument(
        "--results-dir",
        type=folder,
        default=Path("results"),
        metavar="DIR",
        help="where study folders go (default: results)",
    )
    where.add_argument("--study", metavar="NAME", help="name of the study folder (default: the time)")
    where.add_argument("--address", metavar="ADDR", help="join this Ray cluster (default: this machine)")
    where.add_argument("--cpus-per-trial", type=amount, default=1.0, metavar="X", help="default: 1")
    where.add_argument(
        "--gpus-per-trial",
        type=amount,
        metavar="X",
        help="a part of one, or whole ones (default: as many trials a GPU as CPUs allow, four at most)",
    )
    where.add_argument(
        "--save-every",
        type=amount,
        default=5.0,
        metavar="S",
        help="seconds between the checkpoints of a running trial (default: 5)",
    )
    where.add_argument("--max-concurrent", type=positive, metavar="N", help="trials at once (default: as many as fit)")
    shown = p.add_argument_group("shown")
    shown.add_argument(
        "--wandb",
        choices=MIRROR_MODES,
        default="disabled",
        help="show every trial on Weights & Biases, or write its files for a later sync (default: disabled)",
    )
    return p


def request(args: argparse.Namespace) -> Request:
    """Return what the arguments ask for."""
    given = vars(args)
    read = ("split", "drop_small_classes", "skip_bad", "ship_class", "group_by", "merge_splits")
    asked = ("start", "trials", "epochs", "repeats", "minutes", "rounds", "seed", "sampler", "scheduler", "smoke")
    return Request(
        source=Source(args.data, **{name: given[name] for name in read}),
        results=args.results_dir,
        name=args.study,
        chain=args.stage == ALL,
        optional=tuple(args.optional or ()),
        **{name: given[name] for name in asked},
    )


def where(args: argparse.Namespace) -> Where:
    """Return where results go and trials run."""
    from studies.workshop import Where

    resources = Resources(args.cpus_per_trial, args.gpus_per_trial, args.max_concurrent, args.save_every)
    return Where(args.results_dir, args.address, resources, args.wandb)


def _typed(argv: Sequence[str] | None) -> dict[str, Any]:
    """What was typed, by option; None where nothing was."""
    p = parser()
    p.set_defaults(**dict.fromkeys(vars(p.parse_args([]))))
    return vars(p.parse_args(argv))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    with stop.heeded():
        try:
            status = _main(argv)
            sys.stdout.flush()
        except KeyboardInterrupt:
            told = stop.told() or signal.SIGINT
            print(f"run_search.py: ended by {'Ctrl-C' if told is signal.SIGINT else told.name}", file=sys.stderr)
            status = INTERRUPTED
        except InputError as error:
            print(f"run_search.py: {error}", file=sys.stderr)
            status = 2
        except BrokenPipeError:  # as with `| head`: nobody reads any more, and nobody needs to be told
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more at its end
            status = 128 + signal.SIGPIPE
        except OSError as error:  # where a study has been begun, it says itself what is kept
            print(f"run_search.py: {what_happened(error)}", file=sys.stderr)
            status = 1
        return stop.status() if status == INTERRUPTED else status


def _main(argv: Sequence[str] | None) -> int:
    args = parser().parse_args(argv)
    check_encodable(sys.argv[1:] if argv is None else argv)
    if args.list:
        print("\n".join(f"{stage.name:16s} {stage.question}" for stage in STAGES))
        print(f"{ALL:16s} All of them in turn, each from what the ones before adopted; resumes where it stopped.")
        return 0
    if args.stage is None:
        raise InputError(f"--stage is missing; the stages are {', '.join(STAGE_NAMES)}")
    if args.stage not in STAGE_NAMES:
        raise InputError(f"unknown stage {args.stage!r}; the stages are {', '.join(STAGE_NAMES)}")
    asked, stage = request(args), None if args.stage == ALL else stage_named(args.stage)
    if args.dry_run:
        if args.resume and stage:
            raise InputError("--dry-run with --resume: a study that goes on has its plan in its study.json")
        print(plans(asked, where(args), stage))
        return 0
    if stage is None:
        return run_all(asked, where(args))
    resumed = functools.partial(run_resumed, typed=_typed(argv)) if args.resume else run_stage
    status, report = resumed(asked, where(args), stage)
    print(report)
    return status


if __name__ == "__main__":
    ended = main()
    gc.freeze()  # else Python goes through all that torch and Ray have loaded once more: a second or two
    sys.exit(ended)
