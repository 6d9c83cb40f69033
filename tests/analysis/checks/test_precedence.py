"""Advices of one page do not contradict each other, whatever the checks find."""

from hypothesis import given

from analysis.checks.evidence import LN2
from analysis.checks.precedence import contradict, settled
from storage.finding import Narrow
from tests.analysis.checks.any_findings import findings, remedies
from tests.analysis.checks.build import found
from tests.build import study


@given(findings)
def test_no_two_remedies_of_a_page_contradict(page):
    """Whatever was found, the remedies that are left agree, and no evidence or severity is lost."""
    left = [finding.remedy for finding in settled(page) if finding.remedy]
    assert not any(contradict(one, other) for place, one in enumerate(left) for other in left[:place])
    assert sorted((f.id, f.severity, f.evidence) for f in settled(page)) == sorted(
        (f.id, f.severity, f.evidence) for f in page
    )


@given(findings)
def test_what_was_settled_stays_settled(page):
    """Settling twice changes nothing, and some remedy is left where there was one."""
    once = settled(page)
    assert settled(once) == once
    assert any(f.remedy for f in once) == any(f.remedy for f in page)


@given(remedies, remedies)
def test_contradiction_is_mutual(one, other):
    """If one contradicts the other, the other contradicts it; nothing contradicts itself."""
    assert contradict(one, other) == contradict(other, one)
    assert not contradict(one, one)


@given(findings)
def test_a_withdrawn_remedy_leaves_a_pointer(page):
    """Whoever loses a remedy says which finding comes first, and that one has a remedy still."""
    keeping = {finding.id for finding in settled(page) if finding.remedy}
    pointing = [f.advice.removeprefix("settle ").removesuffix(" first") for f in settled(page) if "settle" in f.advice]
    assert set(pointing) <= keeping


def test_higher_and_lower_rates_are_never_asked_for_together():
    """Where runs die at high rates, and new seeds of the selected one too, there is one cure on the page."""
    runs = [("selected", "finished", value) for value in (0.21, LN2, 0.2)]
    losses = [LN2 if number > 20 else ... for number in range(27)]
    record = study(val_loss=losses, repeats=runs)
    assert isinstance(found(record, "unstable edge").remedy, Narrow)
    assert found(record, "retraining").remedy is None
    assert found(record, "retraining").advice == "settle unstable edge first"
