"""What report.json holds, as one frozen value: the config to use, on which grounds, and what was measured of it.

`Report.to_dict` and `Report.read` are the one place that writes and reads the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, TypeVar

from storage.finding import Finding
from storage.study_json import SCHEMA
from storage.whole_files import read_json
from trainables.base_config import Config
from trainables.errors import InputError
from trainables.json_values import from_plain, to_plain

T = TypeVar("T")

REPORT = "report.json"


@dataclass(frozen=True)
class Validation:
    """The best epoch of a trial on the validation pairs; None where a task does not measure that, `own` its scores."""

    loss: float
    accuracy: float | None = None
    jaccard: float | None = None
    cosine: float | None = None
    own: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SeedRun:
    """A run under a new seed that ran to its end, at its best epoch; `own` has the scores of a task of one's own."""

    seed: int
    best_epoch: int | float  # older versions took it from a table, as 7.0
    val_loss: float
    val_accuracy: float | None = None
    val_jaccard: float | None = None
    val_cosine: float | None = None
    own: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Deaths:
    """Runs that diverged or did not learn, of how many; `low` to `high` is the exact 95 % interval of their share."""

    died: int
    runs: int
    low: float
    high: float


@dataclass(frozen=True)
class Adoption:
    """Whether the selected config replaces the start, and on which grounds. `gain` is in the metric's units.

    `low` to `high` is its interval at `confidence`, positive is better; `detectable` the gain that this study would
    have proven with 80 % power. `deaths` and `start_deaths` are the runs that came to nothing.
    """

    adopted: bool
    why: str
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    seeds: int = 0
    detectable: float | None = None
    deaths: Deaths | None = None
    start_deaths: Deaths | None = None


@dataclass(frozen=True, kw_only=True)
class Selected(Adoption):
    """The config to use, and whether it is adopted. `val` is that of its trial, None where that did not finish."""

    trial: int
    arm: str
    config: Config
    val: Validation | None
    runs: tuple[SeedRun, ...] = ()


@dataclass(frozen=True)
class Compared:
    """The config that stands beside the selected one: the start, or in `final` the report's baseline."""

    config: Config
    val: Validation | None = None
    runs: tuple[SeedRun, ...] = ()


@dataclass(frozen=True)
class Gain:
    """The accuracy gained on test pairs: its mean and interval, as shares of pairs, and under how many seeds."""

    value: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class TestScore:
    """The median run on a task, with 95 % intervals; `runs_` have the same config's other seeds as well.

    `threshold` is that run's; each run has its own where it comes from validation.
    """

    accuracy: float
    accuracy_interval: tuple[float, float]
    jaccard: float
    jaccard_interval: tuple[float, float]
    tp: int
    tn: int
    fp: int
    fn: int
    threshold: float
    auc: float | None
    pairs: int
    seed: int
    runs_accuracy: tuple[float, ...]
    runs_jaccard: tuple[float, ...]
    eer: float | None = None  # older versions did not measure it

    __test__ = False  # a score, not a test case

    @property
    def mean_accuracy(self) -> float:
        """Return the mean of all seeds."""
        return fmean(self.runs_accuracy)

    @property
    def mean_jaccard(self) -> float:
        """Return the mean of all seeds."""
        return fmean(self.runs_jaccard)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; the means are among them, since what a page shows stands in the file."""
        means = {"mean_accuracy": self.mean_accuracy, "mean_jaccard": self.mean_jaccard}
        return {name: to_plain(value) for name, value in vars(self).items()} | means


@dataclass(frozen=True, kw_only=True)
class TestRow(TestScore):
    """A config's score in the full examination: on a task, at the threshold that a criterion chose."""

    task: str
    criterion: str
    role: str
    gain: Gain | None = None


Unit = Literal["chip", "group", "class"]


@dataclass(frozen=True)
class Identified:
    """How often a config in one `role` named the class of a held-out chip right: the median run, and all `runs_`.

    `task` says among what, `chance` what guessing would reach. `queries` chips of `classes` classes were asked about in
    `trials`; the 95 % interval of `accuracy` takes a `unit` for one look.
    """

    task: str
    role: str
    accuracy: float
    accuracy_interval: tuple[float, float]
    chance: float
    trials: int
    queries: int
    classes: int
    unit: Unit
    seed: int
    runs_accuracy: tuple[float, ...]

    @property
    def mean_accuracy(self) -> float:
        """Return the mean of all seeds."""
        return fmean(self.runs_accuracy)


@dataclass(frozen=True)
class Identification:
    """What the held-out chips say of a verifier that is asked who, and a sentence for each thing left out.

    `unseen`: none of the classes was trained on.
    """

    unseen: bool
    rows: tuple[Identified, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What an arm's best `trial` by validation reached, and costs: `seconds` of training, `milliseconds` a pair at use.

    `parameters` are those of one of its networks.
    """

    arm: str
    trial: int
    val_accuracy: float
    seconds: float
    milliseconds: float
    parameters: int


@dataclass(frozen=True)
class TaskScore:
    """What a task of one's own says of a config on what was held out: a score by name, a value for each run."""

    role: str
    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Measured:
    """What the test split said: scores of both configs, the gain, in `final` the examination and the identification.

    And where arms are networks what each costs; `scores` are those of a task of one's own. Nothing can make it again
    without another look, or without the chips, so a report that is written again keeps it.
    """

    selected: TestScore | None = None
    compared: TestScore | None = None
    gain: Gain | None = None
    rows: tuple[TestRow, ...] | None = None
    costs: tuple[Cost, ...] | None = None
    identification: Identification | None = None
    scores: tuple[TaskScore, ...] | None = None


@dataclass(frozen=True)
class Candidate:
    """The start or a raced candidate: its value in the search, and its runs under new seeds.

    `mean` and `sd` are over all of them; `fresh` counts those that chose nothing.
    """

    trial: int
    arm: str
    search: float | None
    mean: float
    sd: float | None
    seeds: int
    fresh: int
    died: int


@dataclass(frozen=True)
class ArmAnswer:
    """What new seeds say of an arm: its best `candidate`, of so many `trials`, and the mean of its runs under `seeds`.

    It is `behind` the leading arm's candidate by so much of the metric, plus or minus `half` (96 %), over the seeds
    that both have in `common`; None for the leading arm, and where these are too few. `candidate` and `mean` are None
    for an arm none of whose trials was trained under new seeds.
    """

    arm: str
    trials: int
    candidate: int | None = None
    mean: float | None = None
    seeds: int = 0
    behind: float | None = None
    half: float | None = None
    common: int = 0
    apart: bool = False


@dataclass(frozen=True)
class Overtuning:
    """How far the best single trial fell under new seeds: overtuning, after Schneider, Bischl and Feurer 2025.

    `trial`, its value in the `search`, the mean `repeated` under `seeds` new ones, how much that is `lost` (positive is
    worse), and the same in standard deviations of seeds.
    """

    trial: int
    search: float
    repeated: float
    seeds: int
    lost: float
    lost_sds: float | None = None


@dataclass(frozen=True)
class Settling:
    """What would prove a gain that was seen: at most so many `repeats`, about so many `minutes` here, the `command`."""

    repeats: int
    minutes: float | None
    command: str


Answer = Literal["longer", "enough", "fewer", "open"]  # open: not judged, or something else comes first


@dataclass(frozen=True)
class EpochsToTrain:
    """How many epochs this study `trained`, when its leading trials were best, and how many `epochs` to train next."""

    trained: int
    best_epochs: tuple[int, ...]
    answer: Answer
    epochs: int


@dataclass(frozen=True)
class Published:
    """A figure that the report of 2023 published, for one `task` and the config in one `role`."""

    run: str
    role: str
    task: str
    accuracy: float
    jaccard: float


@dataclass(frozen=True)
class Report:
    """The answer of a study. `selected` and `baseline` are None where no trial finished; `next` is a command."""

    verdict: str
    next: str
    selected: Selected | None = None
    baseline: Compared | None = None
    candidates: tuple[Candidate, ...] = ()
    arms: tuple[ArmAnswer, ...] = ()
    overtuning: Overtuning | None = None
    settling: Settling | None = None
    training_length: EpochsToTrain | None = None
    findings: tuple[Finding, ...] = ()
    measured: Measured = Measured()
    published: tuple[Published, ...] = ()

    @property
    def adopted(self) -> bool:
        """Return whether the selected config replaces the start."""
        return self.selected is not None and self.selected.adopted

    def to_dict(self) -> dict[str, Any]:
        """Return the content of report.json."""
        own = {name: to_plain(value) for name, value in vars(self).items() if name != "measured"}
        measured = {name: to_plain(value) for name, value in vars(self.measured).items()}
        beside = own["baseline"] and own["baseline"] | {"test": measured["compared"]}
        tested = {"test": measured["selected"], "gain": measured["gain"]}
        tested |= {"tests": measured["rows"], "costs": measured["costs"]}
        tested |= {"identification": measured["identification"]}
        tested |= {"scores": measured["scores"]} if measured["scores"] else {}
        return {"schema": SCHEMA, "intervals": "95 %"} | own | {"baseline": beside} | tested

    @staticmethod
    def read(content: Mapping[str, Any]) -> Report:
        """Return what `to_dict` wrote, or an older version; raise InputError naming the value that makes no sense."""
        report = from_plain(Report, {name: value for name, value in content.items() if name != "measured"})
        beside = content.get("baseline") or {}
        listed = from_plain(_Listed, {name: content[name] for name in ("tests", "costs", "scores") if name in content})
        measured = Measured(
            selected=_part(TestScore, content, "test"),
            compared=_part(TestScore, beside, "test", "baseline."),
            gain=_part(Gain, content, "gain"),
            rows=listed.tests,
            costs=listed.costs,
            scores=listed.scores,
            identification=_part(Identification, content, "identification"),
        )
        return replace(report, measured=measured)


@dataclass(frozen=True)
class _Listed:
    tests: tuple[TestRow, ...] | None = None
    costs: tuple[Cost, ...] | None = None
    scores: tuple[TaskScore, ...] | None = None


def _part(kind: type[T], content: Mapping[str, Any], name: str, where: str = "") -> T | None:
    value = content.get(name)
    return None if value is None else from_plain(kind, value, f"{where}{name}")


def read_report(folder: Path) -> Report | None:
    """Read the report of a study folder, None if it has none; raise InputError for a value that makes no sense."""
    path = folder / REPORT
    if not path.exists():
        return None
    content = read_json(path)
    try:
        return Report.read(content)
    except InputError as error:
        raise InputError(f"{path}: {error}; it was damaged or edited") from error
