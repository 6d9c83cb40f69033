"""Guards what a range holds, where a value lies in it, and which ranges cannot be."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.domain import Choice, Domain, IntRange, LogUniform, Uniform, between, spanning
from trainables.errors import ConfigError, InputError
from trainables.json_values import from_plain, to_plain

bounds = st.tuples(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3)).filter(lambda b: b[0] * 1.01 < b[1])


@given(bounds, st.floats(0, 1), st.sampled_from([Uniform, LogUniform]))
def test_position_is_the_share_of_the_sampling_scale(ends, share, kind):
    """The value at a share of the scale has that position, the ends are 0 and 1, and both are contained."""
    low, high = ends
    value = low + share * (high - low) if kind is Uniform else low * (high / low) ** share
    domain = kind(low, high)
    assert domain.position(value) == pytest.approx(share, abs=1e-6)
    assert domain.contains(low)
    assert domain.contains(high)
    assert not domain.contains(high * 1.001)
    assert not domain.contains("text")
    assert from_plain(Domain, to_plain(domain)) == domain


def test_a_choice_is_its_options():
    """A choice contains its options alone, in order from 0 to 1, and survives its description."""
    choice = Choice(("a", "b", "c"))
    assert [choice.position(option) for option in choice.options] == [0, 0.5, 1]
    assert not choice.contains("d")
    assert math.isnan(choice.position("d"))
    assert from_plain(Domain, to_plain(choice)) == choice


def test_a_range_of_whole_numbers_contains_no_others():
    """Both ends belong to it, halves do not; positions run from 0 to 1; it survives its description."""
    members = IntRange(2, 5)
    assert [number for number in range(8) if members.contains(number)] == [2, 3, 4, 5]
    assert not members.contains(2.5)
    assert (members.position(2), members.position(5)) == (0, 1)
    assert from_plain(Domain, to_plain(members)) == members


def test_a_switch_is_a_choice():
    """False and True are options like names are, and survive a description as JSON."""
    switch = Choice((False, True))
    assert switch.contains(True)
    assert switch.position(True) == 1
    assert from_plain(Domain, json.loads(json.dumps(to_plain(switch)))) == switch


@pytest.mark.parametrize(
    "make",
    [
        lambda: Uniform(1, 1),
        lambda: Uniform(2, 1),
        lambda: Uniform(0, float("inf")),
        lambda: LogUniform(0, 1),
        lambda: IntRange(1, 2.5),
        lambda: IntRange(3, 3),
        lambda: Choice(("a",)),
        lambda: Choice(("a", "a")),
        lambda: from_plain(Domain, {"kind": "log-uniform", "low": 0, "high": 1}),
        lambda: spanning(Choice(("a", "b")), Choice(("a", "c"))),
        lambda: spanning(Uniform(0, 1), LogUniform(1, 2)),
    ],
)
def test_impossible_domains_are_refused(make):
    """Empty and endless domains, and spans of two kinds, raise ConfigError when they are made, from a file too."""
    with pytest.raises(ConfigError):
        make()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "normal"}, "domain is .*normal.*, expected a kind: uniform, log-uniform, integer, choice"),
        ({"low": 1}, "domain is .*low.*, expected a kind: uniform, log-uniform, integer, choice"),
        ({"kind": "uniform", "low": 1}, "domain.high is missing"),
        ({"kind": "integer", "low": 1, "high": "5"}, "domain.high is '5', expected int"),
        (7, "domain is 7, expected a kind"),
    ],
)
def test_what_describes_no_domain_is_named(values, said):
    """A damaged description raises an InputError with the value and what would be right."""
    with pytest.raises(InputError, match=said):
        from_plain(Domain, values, "domain")


def test_a_range_of_the_same_kind():
    """`between` and `spanning` keep the kind of range; ends of whole numbers are rounded."""
    assert between(LogUniform(1e-3, 1), 1e-4, 0.1) == LogUniform(1e-4, 0.1)
    assert between(IntRange(1, 5), 1.2, 7.6) == IntRange(1, 8)
    assert spanning(IntRange(2, 5), IntRange(1, 3)) == IntRange(1, 5)
