import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from analysis.evaluate import LEDGER, Finalist, evaluate
from trainables.config import TrialConfig
from trainables.data import channel_statistics
from trainables.training import Member


def weights_of(seed, path):
    member = Member.fresh(TrialConfig().override({"seed": seed}))
    save_file({name: w.contiguous() for name, w in member.model.state_dict().items()}, path)
    return path


@pytest.fixture
def finalists(tmp_path):
    paths = [weights_of(seed, tmp_path / f"{seed}.safetensors") for seed in range(4)]
    return {
        "selected": Finalist(TrialConfig(), paths[:3], [0, 1, 2], [0.5, 0.1, 0.3]),
        "baseline": Finalist(TrialConfig(), paths[3:], [3], [0.5]),
    }


def test_scores_equal_a_loop_over_the_test_pairs(prepared, finalists, tmp_path):
    """Counts, accuracy and Jaccard equal a pair-by-pair forward of the median run, normalised by training statistics."""
    scores, _ = evaluate(prepared, finalists, tmp_path, "lr/s")
    part = prepared.part("test", prepared.split.test)
    mean, sd = channel_statistics(prepared.chips.images[prepared.split.train])
    chips = torch.from_numpy((part.images - mean) / sd).permute(0, 3, 1, 2)
    model = Member.fresh(TrialConfig().override({"seed": 2})).model  # validation 0.3 is the median of 0.5, 0.1, 0.3
    tp = tn = fp = fn = 0
    with torch.no_grad():
        for a, b, target in zip(part.pairs.first, part.pairs.second, part.pairs.target, strict=True):
            similar = torch.sigmoid(model(chips[a][None], chips[b][None])).item() < 0.5
            if similar:
                tp, fp = tp + (target == 0), fp + (target == 1)
            else:
                tn, fn = tn + (target == 1), fn + (target == 0)
    score = scores["selected"]
    assert (score.tp, score.tn, score.fp, score.fn) == (tp, tn, fp, fn)
    assert score.accuracy == (tp + tn) / len(part.pairs)
    assert score.jaccard == pytest.approx(tp / (tp + fn + fp) if tp + fn + fp else 0)
    assert score.seed == 2
    assert score.pairs == 5 * len(prepared.split.test)
    assert len(score.runs_accuracy) == 3
    low, high = score.accuracy_interval
    assert 0 <= low <= score.accuracy <= high <= 1


def test_every_look_is_in_the_ledger(prepared, finalists, tmp_path):
    """Each call appends one line with the study, the models and the data's digest."""
    evaluate(prepared, finalists, tmp_path, "lr/one")
    evaluate(prepared, {"selected": finalists["selected"]}, tmp_path, "lr/two")
    lines = [json.loads(line) for line in (tmp_path / LEDGER).read_text().splitlines()]
    assert [line["study"] for line in lines] == ["lr/one", "lr/two"]
    assert lines[0]["data"] == prepared.chips.digest()
    assert "selected (3 runs), baseline (1 runs)" in lines[0]["purpose"]


def test_the_gain_is_over_all_runs_on_the_same_pairs(prepared, finalists, tmp_path):
    """The gain is the difference of the mean accuracies over runs, inside its interval; alone, selected has none."""
    scores, gain = evaluate(prepared, finalists, tmp_path, "lr/s")
    means = [np.mean(scores[role].runs_accuracy) for role in ("selected", "baseline")]
    assert gain["value"] == pytest.approx(means[0] - means[1])
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert evaluate(prepared, {"selected": finalists["selected"]}, tmp_path, "lr/s")[1] is None


def test_the_median_run_is_typical():
    """The run shown is the lower median by validation, neither best nor worst of three or more."""
    for values, expected in (([0.5, 0.1, 0.3], 2), ([0.4], 0), ([0.2, 0.1], 1), ([1, 4, 2, 3], 2)):
        assert Finalist(TrialConfig(), [], [], values).median() == expected
    assert np.median([0.5, 0.1, 0.3]) == 0.3
