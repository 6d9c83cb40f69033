"""Guards where the verifier is said to look, and which pairs are shown."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from studies.saliency import SHOWN, draw_examples, examples, relevance
from tests.page import is_drawn
from trainables.config import Loss, TrialConfig
from trainables.ensemble import pack
from trainables.losses import LOSSES, make_loss
from trainables.model import SiameseNetwork
from trainables.training import Run
from trainables.verifier import save_verifier


@pytest.mark.parametrize("kind", list(LOSSES))
def test_relevance_is_feature_times_gradient_by_finite_differences(kind):
    """The map equals features times the score's slope, found by moving each feature a little, summed over channels."""
    torch.manual_seed(0)
    network, loss = SiameseNetwork().double(), make_loss(Loss(kind, margin=3.0))
    first, second = torch.randn(2, 1, 3, 75, 75, dtype=torch.float64)
    with torch.no_grad():
        a, b = network.encoder.features(first), network.encoder.features(second)
        steps = torch.eye(a.numel(), dtype=torch.float64).view(-1, *a.shape[1:]) * 1e-6
        other = network.encoder.embed(b).expand(len(steps), -1)
        up, down = (loss.evidence(network, network.encoder.embed(a + sign * steps), other) for sign in (1, -1))
        slope = -(up - down).view_as(a) / 2e-6  # of similarity
        expected = F.interpolate((a * slope).sum(1, keepdim=True), (75, 75), mode="bilinear", align_corners=False)
    found = relevance(network, loss, first, second, 75)
    assert found.first.shape == found.second.shape == (1, 75, 75)
    largest = float(expected.abs().max())
    assert largest > 1e-6
    assert np.allclose(found.first, expected[:, 0].numpy(), atol=1e-3 * largest)


def test_what_the_network_cannot_see_is_not_relevant():
    """Where the last linear layer has no weight for the right half of the map, the right half of the picture is 0."""
    torch.manual_seed(1)
    network = SiameseNetwork()
    with torch.no_grad():
        network.encoder.fc1[0].weight.view(18, 7, 18, 18)[..., 9:] = 0
    maps = relevance(network, make_loss(Loss()), *torch.randn(2, 4, 3, 75, 75), side=75)
    for side in (maps.first, maps.second):
        assert np.abs(side[..., 42:]).max() == 0
        assert np.abs(side[..., :35]).max() > 0


def test_examples_are_the_surest_of_each_kind():
    """Right pairs, similar and different in turn, then wrong ones, each time the surest first."""
    score = np.array([0.01, 0.2, 0.99, 0.7, 0.05, 0.9, 0.4])
    target = np.array([0, 0, 1, 1, 1, 0, 1.0])
    assert examples(score, target) == [0, 2, 1, 4, 5, 6]
    assert len(examples(score, target)) == 2 * SHOWN
    assert examples(score[:2], target[:2]) == [0, 1]  # none of the other kind, none wrong


def test_the_picture_is_drawn_from_a_saved_verifier(trial_data, tmp_path):
    """An ensemble's verifier and the validation part are enough for the picture."""
    config = TrialConfig().override({"ensemble.members": 2, "ensemble.combine": "average"})
    weights = tmp_path / "w.safetensors"
    save_file(pack(Run.fresh(config).networks), weights)
    save_verifier(tmp_path, config, weights, trial_data)
    draw_examples(tmp_path, trial_data, tmp_path / "figures" / "saliency.png")
    assert is_drawn(tmp_path / "figures" / "saliency.png")
