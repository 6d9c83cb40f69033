"""Findings in report.json: what is written is read again, and what makes no sense is refused by name."""

import json
import re

import pytest
from hypothesis import given

from storage.finding import Clip, Finding, WarmUp, Widen
from tests.analysis.checks.any_findings import findings
from trainables.config import TrialConfig
from trainables.errors import InputError


@given(findings)
def test_a_finding_comes_back_from_its_json(page):
    """Through JSON and back every finding is equal, its remedy of the same kind."""
    assert [Finding.from_dict(json.loads(json.dumps(finding.to_dict()))) for finding in page] == page


@pytest.mark.parametrize("remedy", [WarmUp(), Clip()])
def test_a_remedy_names_what_can_be_set(remedy):
    """What a person is to set is a path of the config."""
    paths = re.findall(r"\b[a-z]+\.[a-z_]+\b", remedy.words.replace("epochs.csv", ""))
    assert [TrialConfig().value(path) for path in paths] == [0]


def test_a_remedy_is_a_plain_dict_with_its_kind():
    """The contract of report.json."""
    finding = Finding("boundary", "warn", "e", "a", Widen("optimiser.lr", 2e-4, 0.08))
    assert finding.to_dict() == {
        "id": "boundary",
        "severity": "warn",
        "evidence": "e",
        "advice": "a",
        "remedy": {"kind": "widen", "path": "optimiser.lr", "low": 2e-4, "high": 0.08},
    }


def test_a_finding_of_an_older_version_has_no_remedy():
    """Reports were written before there were remedies."""
    old = {"id": "density", "severity": "warn", "evidence": "few", "advice": "more"}
    assert Finding.from_dict(old) == Finding("density", "warn", "few", "more")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"severity": "bad"}, "severity"),
        ({"evidence": 3}, "evidence"),
        ({"remedy": "more"}, "remedy"),
        ({"remedy": {"kind": "pray"}}, "remedy"),
        ({"remedy": {"kind": "longer"}}, "factor"),
        ({"remedy": {"kind": "longer", "factor": "2"}}, "factor"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(changed, said):
    """One line that names the finding and what is wrong with it."""
    values = {"id": "density", "severity": "warn", "evidence": "few", "advice": "more", "remedy": None}
    with pytest.raises(InputError, match=rf"density.*{said}"):
        Finding.from_dict({**values, **changed})
