"""What makes an embedding of a chip; a file an encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trainables.config import Network, TrialConfig
from trainables.encoders.encoder import Encoder
from trainables.encoders.koch import Koch
from trainables.encoders.report import Report
from trainables.encoders.resnet18 import ResNet18
from trainables.encoders.small import Small

ENCODERS: Mapping[str, Callable[[Network, int], Encoder]] = {  # of the side of a chip
    "report": Report,
    "small": Small,
    "koch": Koch,
    "resnet18": ResNet18,
}


def make_encoder(network: Network, side: int) -> Encoder:
    """Return the encoder that `network` names, for chips of `side`."""
    return ENCODERS[network.encoder](network, side)


def check_weights(config: TrialConfig) -> None:
    """Raise InputError where the file of weights that `config` names is missing, or does not fit its encoder."""
    if config.init.weights:
        make_encoder(config.network, config.data.side).start_with(config.init.weights)
