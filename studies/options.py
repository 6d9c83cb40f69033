"""The command line: its options, theme by theme, and the request that they make."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.stages import OPTIONAL, STAGES
from search_spaces.study import SAMPLERS, SCHEDULERS
from storage.data_source import BY_FOLDER, SPLITS, SYNTHETIC, Source
from studies.arguments import amount, folder, grouping, minutes, positive, seed
from studies.own_files import OwnStage, own_encoder
from studies.request import SMOKE, Request
from studies.resources import Resources
from studies.wandb_process import WANDB_MODES
from trainables.command_line import Parser
from trainables.images.files import user_path

if TYPE_CHECKING:
    from studies.session import Where

ALL = "all"
STAGE_NAMES = (*(stage.name for stage in STAGES), ALL)
Group = argparse._ArgumentGroup


def _what_is_asked(group: Group) -> None:
    group.add_argument(
        "--stage", metavar="STAGE", help=f"one of: {', '.join(STAGE_NAMES)}; or FILE.py with one of your own"
    )
    group.add_argument(
        "--start",
        type=user_path,
        metavar="BEST.JSON",
        help="start from this config (default: the newest adopted one of the stages before)",
    )
    group.add_argument(
        "--encoder",
        metavar="FILE.py:NAME",
        help="a torch module of your own in place of the start's encoder: NAME makes it, (B, 3, S, S) to (B, E)",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="resume --study, or the stage's newest study, as it was started; more --trials add to it",
    )
    group.add_argument("--with", dest="optional", choices=OPTIONAL, nargs="+", help="ask this too, in --stage all")
    group.add_argument("--list", action="store_true", help="list the stages and their questions, and exit")
    group.add_argument("--dry-run", action="store_true", help="print the plan, train nothing, write nothing")
    group.add_argument(
        "--smoke",
        action="store_true",
        help=f"go through every part in under a minute ({SMOKE.trials} trials of {SMOKE.epochs} epochs)",
    )


def _data(group: Group) -> None:
    group.add_argument(
        "--data",
        default=SYNTHETIC,
        metavar="PATH",
        help="class folders, .zip, .npz (X_train, Y_train), Statoil .json, or kaggle:OWNER/NAME "
        "(default: simulated chips)",
    )
    group.add_argument(
        "--split",
        choices=SPLITS,
        default="grouped",
        help="keep flipped copies on one side (default), split chip by chip, or keep whole classes out of training",
    )
    group.add_argument(
        "--ship-class",
        metavar="CLASS",
        help="class of the final's ship task (default: the class called ship, of two classes else the first)",
    )
    group.add_argument(
        "--group-by",
        type=grouping,
        default=BY_FOLDER,
        metavar="WHAT",
        help="what is kept on one side of the split: folders inside a class folder (folder, default), files whose "
        "names begin alike (prefix:REGEX), or nothing (none)",
    )
    group.add_argument(
        "--merge-splits", action="store_true", help="take train, test, ... of a ready-made split as one set"
    )
    group.add_argument("--drop-small-classes", action="store_true", help="go on without classes of too few chips")
    group.add_argument("--skip-bad", action="store_true", help="go on without unreadable images, and list them")


def _search(group: Group) -> None:
    group.add_argument("--trials", type=positive, metavar="N", help="trials in all arms (default: the stage's)")
    group.add_argument(
        "--rounds",
        type=positive,
        metavar="N",
        help="let the checks ask for more trials, in wider or narrower ranges, up to N - 1 times (default: 1)",
    )
    group.add_argument("--epochs", type=positive, metavar="N", help="epochs of every trial (default: the stage's)")
    group.add_argument(
        "--repeats", type=positive, metavar="N", help="fresh seeds that decide, at most (default: the stage's)"
    )
    group.add_argument(
        "--minutes",
        type=minutes,
        metavar="M",
        help="plan trials and repeats to fit, from the time of the first trials, in place of --trials and --repeats",
    )
    group.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="seed of suggestions and training; split and pairs stay (default: 0)",
    )
    group.add_argument("--sampler", choices=SAMPLERS, default="qmc", help="quasi-random (default), TPE or random")
    group.add_argument(
        "--scheduler", choices=SCHEDULERS, default="none", help="asha stops weak trials early (default: none)"
    )


def _where(group: Group) -> None:
    group.add_argument(
        "--results-dir",
        type=folder,
        default=Path("results"),
        metavar="DIR",
        help="where study folders go (default: results)",
    )
    group.add_argument("--study", metavar="NAME", help="name of the study folder (default: the time)")
    group.add_argument("--address", metavar="ADDR", help="join this Ray cluster (default: this machine)")
    group.add_argument("--cpus-per-trial", type=amount, default=1.0, metavar="X", help="default: 1")
    group.add_argument(
        "--gpus-per-trial",
        type=amount,
        metavar="X",
        help="a part of one, or whole ones (default: as many trials a GPU as CPUs allow, four at most)",
    )
    group.add_argument(
        "--save-every",
        type=amount,
        default=5.0,
        metavar="S",
        help="seconds between the checkpoints of a running trial (default: 5)",
    )
    group.add_argument("--max-concurrent", type=positive, metavar="N", help="trials at once (default: as many as fit)")


def _shown(group: Group) -> None:
    group.add_argument(
        "--wandb",
        choices=WANDB_MODES,
        default="disabled",
        help="show every trial on Weights & Biases, or write its files for a later sync (default: disabled)",
    )


GROUPS: Mapping[str, Callable[[Group], None]] = {
    "what is asked": _what_is_asked,
    "data": _data,
    "search": _search,
    "where": _where,
    "shown": _shown,
}


def parser(description: str | None = None) -> Parser:
    """Return the command line, theme by theme."""
    p = Parser(prog="run_search.py", description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for title, fill in GROUPS.items():
        fill(p.add_argument_group(title))
    return p


def request(args: argparse.Namespace, own: OwnStage | None = None) -> Request:
    """Return what the arguments ask for; `own` is the user's stage that --stage names, if it names one."""
    given = vars(args)
    read = ("split", "drop_small_classes", "skip_bad", "ship_class", "group_by", "merge_splits")
    asked = ("start", "trials", "epochs", "repeats", "minutes", "rounds", "seed", "sampler", "scheduler", "smoke")
    return Request(
        source=Source(args.data, **{name: given[name] for name in read}),
        results=args.results_dir,
        name=args.study,
        chain=args.stage == ALL,
        optional=tuple(args.optional or ()),
        encoder=own_encoder(args.encoder) if args.encoder else None,
        own_stage=own.file if own else None,
        **{name: given[name] for name in asked},
    )


def where(args: argparse.Namespace) -> Where:
    """Return where results go and trials run."""
    from studies.session import Where

    resources = Resources(args.cpus_per_trial, args.gpus_per_trial, args.max_concurrent, args.save_every)
    return Where(args.results_dir, args.address, resources, args.wandb)


def typed(argv: Sequence[str] | None) -> dict[str, Any]:
    """What was typed, by option; None where nothing was."""
    p = parser()
    p.set_defaults(**dict.fromkeys(vars(p.parse_args([]))))
    return vars(p.parse_args(argv))
