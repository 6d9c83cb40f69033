"""Findings in report.json: what is written is read again, and what makes no sense is refused by name."""

import json
import re

import pytest
from hypothesis import given

from storage.finding import Clip, Finding, WarmUp, Widen
from tests.analysis.checks.any_findings import findings
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.json_values import from_plain, to_plain


@given(findings)
def test_a_finding_comes_back_from_its_json(page):
    """Through JSON and back every finding is equal, its remedy of the same kind."""
    assert [from_plain(Finding, json.loads(json.dumps(to_plain(finding)))) for finding in page] == page


@pytest.mark.parametrize("remedy", [WarmUp(), Clip()])
def test_a_remedy_names_what_can_be_set(remedy):
    """What a person is to set is a path of the config."""
    paths = re.findall(r"\b[a-z]+\.[a-z_]+\b", remedy.words.replace("epochs.csv", ""))
    assert [TrialConfig().value(path) for path in paths] == [0]


def test_a_remedy_is_a_plain_dict_with_its_kind():
    """The contract of report.json."""
    finding = Finding("boundary", "warn", "e", "a", Widen("optimiser.lr", 2e-4, 0.08))
    assert to_plain(finding) == {
        "id": "boundary",
        "severity": "warn",
        "evidence": "e",
        "advice": "a",
        "remedy": {"kind": "widen", "path": "optimiser.lr", "low": 2e-4, "high": 0.08},
    }


def test_a_finding_of_an_older_version_has_no_remedy():
    """Reports were written before there were remedies."""
    old = {"id": "density", "severity": "warn", "evidence": "few", "advice": "more"}
    assert from_plain(Finding, old) == Finding("density", "warn", "few", "more")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"severity": "bad"}, "severity"),
        ({"evidence": 3}, "evidence"),
        ({"remedy": "more"}, "remedy"),
        ({"remedy": {"kind": "pray"}}, "remedy"),
        ({"remedy": {"kind": "longer"}}, "remedy.factor is missing"),
        ({"remedy": {"kind": "longer", "factor": "2"}}, "remedy.factor is '2', expected float"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(changed, said):
    """One line that names the value and what is wrong with it."""
    values = {"id": "density", "severity": "warn", "evidence": "few", "advice": "more", "remedy": None}
    with pytest.raises(InputError, match=rf"findings\[2\]\.{said}"):
        from_plain(Finding, {**values, **changed}, "findings[2]")
