"""How trials share machines: how many at once, and which part of a GPU each takes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.resources import Cluster, Node, Resources, describe, fit_resources
from trainables.errors import InputError


def fitted(cluster, **wanted):
    fit = fit_resources(Resources(**wanted), cluster)
    return fit.gpus_per_trial, fit.max_concurrent


def test_what_is_left_open_is_filled_in_from_the_machine():
    """One CPU a trial fills the CPUs; a GPU is shared by four, by fewer where CPUs are short, and each whole on a node."""
    eight, two = Cluster((Node(8),)), Cluster((Node(8), Node(2)))
    assert fitted(eight) == (0.0, 8)
    assert fitted(eight, cpus_per_trial=2.0) == (0.0, 4)
    assert fitted(two, cpus_per_trial=3.0) == (0.0, 2)  # not three: no node has six of its ten CPUs left
    assert fitted(eight, max_concurrent=3) == (0.0, 3)
    assert fitted(Cluster((Node(16, 2),))) == (0.25, 8)
    assert fitted(Cluster((Node(4, 2),))) == (0.5, 4)
    assert fitted(Cluster((Node(16, 2),)), gpus_per_trial=0.0) == (0.0, 16)
    assert fitted(Cluster((Node(16, 4),)), gpus_per_trial=2.0) == (2.0, 2)


def test_a_wish_for_less_is_made_larger_until_trials_lie_evenly():
    """An eighth of a GPU each, for four trials on two GPUs, becomes a half: else Ray would put all four on the first."""
    assert fitted(Cluster((Node(16, 2),)), gpus_per_trial=0.125) == (0.125, 16)
    assert fitted(Cluster((Node(16, 2),)), gpus_per_trial=0.125, max_concurrent=4) == (0.5, 4)
    assert fitted(Cluster((Node(4, 2),)), gpus_per_trial=0.125) == (0.5, 4)
    assert fitted(Cluster((Node(7, 1),)), gpus_per_trial=0.1) == (0.1428, 7)  # 7 x 0.1429 would be more than one


@given(st.integers(1, 64), st.integers(1, 8), st.sampled_from([0.1, 0.125, 0.25, 0.3, 0.5, 1.0]), st.integers(1, 64))
def test_no_gpu_gets_two_trials_more_than_another(cpus, gpus, wish, at_once):
    """Filled one after the other, as Ray does, GPUs differ by no more than the last one's shortfall, and none is left out."""
    part, count = fitted(Cluster((Node(cpus, gpus),)), gpus_per_trial=wish, max_concurrent=at_once)
    a_gpu = int(1 / part + 1e-9)
    assert part >= wish
    assert 1 <= count <= min(cpus, at_once, a_gpu * gpus)
    if wish < 1 and count >= gpus:
        assert math.ceil(count / a_gpu) == math.ceil(count / math.ceil(count / gpus))


NODES = st.lists(st.builds(Node, st.integers(1, 32), st.integers(0, 4)), min_size=1, max_size=4)


@given(NODES, st.sampled_from([None, 0.1, 0.25, 0.5]), st.integers(1, 64))
def test_as_many_as_are_said_to_run_at_once_do(nodes, wish, at_once):
    """However unlike the machines are, with the part of a GPU that each trial takes all of them find room."""
    try:
        part, count = fitted(Cluster(tuple(nodes)), gpus_per_trial=wish, max_concurrent=at_once)
    except InputError:
        return
    rooms = [min(node.cpus, node.gpus * int(1 / part + 1e-9)) if part else node.cpus for node in nodes]
    assert count <= sum(rooms)


def test_on_a_cluster_of_others_the_user_s_number_is_taken_at_its_word():
    """Sixteen at once where four fit stay sixteen on a joined cluster, which may grow, and become four elsewhere."""
    assert fitted(Cluster((Node(0), Node(4)), joined=True), max_concurrent=16) == (0.0, 16)
    assert fitted(Cluster((Node(0), Node(4))), max_concurrent=16) == (0.0, 4)
    assert fitted(Cluster((Node(0), Node(4)), joined=True)) == (0.0, 4)
    assert fitted(Cluster((Node(0),), joined=True), max_concurrent=16) == (0.0, 16)  # no worker yet
    with pytest.raises(InputError, match="if the cluster grows by itself, say --max-concurrent"):
        fitted(Cluster((Node(0),), joined=True))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"cpus_per_trial": 16.0}, "a trial of 16 CPUs and 0 GPUs does not fit: the largest node has 8 CPUs"),
        ({"cpus_per_trial": 0.0}, "some of the machine"),
        ({"gpus_per_trial": 1.0}, "1 GPUs does not fit"),
        ({"gpus_per_trial": 1.5}, "above 1 a trial takes whole GPUs"),
    ],
)
def test_what_fits_nowhere_is_refused_in_one_line(wanted, words):
    """A trial larger than the largest node, or of nothing at all, is an input error that says so."""
    with pytest.raises(InputError, match=words):
        fit_resources(Resources(**wanted), Cluster((Node(8), Node(4))))


def test_the_start_says_how_trials_lie():
    """The words name trials at once, their share, and how many share a GPU."""
    cluster = Cluster((Node(16, 2),))
    assert (
        describe(fit_resources(Resources(), cluster), cluster)
        == "8 trials at once, each on 1 CPU and 0.25 GPU (4 trials a GPU)"
    )
    pair = Cluster((Node(0), Node(1), Node(1)))  # a head that takes none
    assert describe(fit_resources(Resources(), pair), pair) == "2 trials at once on 2 nodes, each on 1 CPU"
