"""report.json: what is written is read again, older versions too, and what makes no sense is refused by name."""

import json
from dataclasses import fields

import pytest

from analysis.checks import Finding
from storage.finding import Longer
from storage.report_json import (
    Adoption,
    Candidate,
    Compared,
    Cost,
    Deaths,
    EpochsToTrain,
    Gain,
    Identification,
    Identified,
    Measured,
    Overtuning,
    Report,
    SeedRun,
    Selected,
    Settling,
    TestRow,
    Validation,
    read_report,
)
from storage.whole_files import write_json
from tests.raced import score
from trainables.config import TrialConfig
from trainables.errors import InputError

RUN = SeedRun(7, 3, 0.2, 0.9, 0.8, 0.7)
VAL = Validation(0.2, 0.9, 0.8, 0.7)
GAIN = Gain(0.02, 0.01, 0.03, 4)
IDENTIFIED = Identified("recall at 1", "selected", 0.5, (0.3, 0.7), 0.1, 80, 80, 8, "class", 7, (0.5, 0.6))
WHOLE = Report(
    verdict="adopt the selected config",
    next="python run_search.py",
    selected=Selected(
        True,
        "adopted: it is better",
        *(0.1, 0.05, 0.15, 0.95, 6, 0.04, Deaths(0, 6, 0.0, 0.4), Deaths(1, 6, 0.01, 0.6)),
        trial=3,
        arm="cosine",
        config=TrialConfig().override({"optimiser.lr": 0.1 / 3}),
        val=VAL,
        runs=(RUN,),
    ),
    baseline=Compared(TrialConfig(), VAL, (RUN,)),
    candidates=(Candidate(0, "constant", None, 0.3, None, 1, 1, 0), Candidate(3, "cosine", 0.2, 0.2, 0.01, 4, 2, 1)),
    overtuning=Overtuning(3, 0.2, 0.25, 4, 0.05),
    settling=Settling(48, 7.5, "python run_search.py --stage lr --repeats 48"),
    training_length=EpochsToTrain(20, (18, 20), "longer", 40),
    findings=(Finding("chance", "fail", "nothing", "train longer", Longer(2)),),
    measured=Measured(
        score(0.9),
        score(0.8),
        GAIN,
        (TestRow(**vars(score(0.9)), task="a", criterion="ROC", role="selected", gain=GAIN),),
        (Cost("small", 3, 0.9, 12.5, 4.25, 475_409),),
        Identification(True, (IDENTIFIED,), ("one-shot among 20 classes is left out: 8 are held out",)),
    ),
)


def kept(folder, report, **changes):
    write_json(folder / "report.json", report.to_dict() | changes)
    return read_report(folder)


@pytest.mark.parametrize("report", [WHOLE, Report("no trial finished", "python run_search.py")])
def test_what_is_written_is_read_again(tmp_path, report):
    """Every part, to the last bit; a folder without a report has none."""
    assert read_report(tmp_path) is None
    assert kept(tmp_path, report) == report


def test_the_file_has_the_contract_s_fields(tmp_path):
    """The names of results/README.md: those of the test split beside the config that they are of, means with them."""
    content = WHOLE.to_dict()
    assert set(content) == {
        *(
            "schema",
            "published",
            "intervals",
            "selected",
            "baseline",
            "candidates",
            "arms",
            "overtuning",
            "settling",
            "verdict",
            "findings",
        ),
        *("test", "gain", "tests", "costs", "identification", "training_length", "next"),
    }
    assert set(content["selected"]) == {entry.name for entry in fields(Adoption)} | {
        "trial",
        "arm",
        "config",
        "val",
        "runs",
    }
    assert content["test"]["mean_accuracy"] == 0.9
    assert content["baseline"]["test"]["accuracy"] == 0.8
    assert content["tests"][0]["gain"] == content["gain"] == vars(GAIN)
    assert content["findings"][0]["remedy"] == {"kind": "longer", "factor": 2}


def test_a_report_of_an_older_version_is_read(tmp_path):
    """Without means, candidates, deaths and remedies, with epochs as a table has them: what is there is taken."""
    content = WHOLE.to_dict()
    for name in ("candidates", "overtuning", "intervals", "tests", "costs", "identification"):
        del content[name]
    for name in ("deaths", "start_deaths", "confidence", "detectable"):
        del content["selected"][name]
    del content["test"]["mean_accuracy"], content["test"]["eer"], content["findings"][0]["remedy"]
    content["selected"]["runs"][0]["best_epoch"] = 3.0
    write_json(tmp_path / "report.json", content)
    report = read_report(tmp_path)
    assert report.measured.selected == WHOLE.measured.selected
    assert (report.measured.rows, report.candidates, report.selected.deaths) == (None, (), None)
    assert report.selected.runs[0].best_epoch == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verdict": 3}, "report.json: verdict is 3, expected str"),
        ({"test": {"accuracy": "high"}}, "report.json: test.accuracy is 'high', expected float"),
        ({"gain": {}}, "report.json: gain.value is missing"),
        ({"findings": [{"id": 3}]}, r"report.json: findings\[0\].id is 3, expected str"),
        (
            {"training_length": {"trained": 2, "best_epochs": [], "answer": "who knows", "epochs": 2}},
            "training_length.answer",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(tmp_path, changes, said):
    """A value that was edited is named with its file."""
    with pytest.raises(InputError, match=said):
        kept(tmp_path, WHOLE, **changes)
    assert json.loads((tmp_path / "report.json").read_text())
