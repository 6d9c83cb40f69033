"""What makes an embedding of a chip; a file an encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trainables.config import OWN, Network, TrialConfig
from trainables.encoders.encoder import Encoder
from trainables.encoders.koch import Koch
from trainables.encoders.own import Own
from trainables.encoders.report import Report
from trainables.encoders.resnet18 import ResNet18
from trainables.encoders.small import Small

ENCODERS: Mapping[str, Callable[[Network, int], Encoder]] = {  # of the side of a chip
    "report": Report,
    "small": Small,
    "koch": Koch,
    "resnet18": ResNet18,
    "own": Own,
}


def make_encoder(network: Network, side: int) -> Encoder:
    """Return the encoder that `network` names, for chips of `side`."""
    return ENCODERS[network.encoder](network, side)


def check_encoder(config: TrialConfig) -> None:
    """Raise InputError where no trial of `config` could start.

    So it is where the file of weights that it names is missing or does not fit, and where an own encoder does not keep
    what it must promise.
    """
    if not (config.init.weights or config.network.encoder == OWN):
        return
    encoder = make_encoder(config.network, config.data.side)
    if config.init.weights:
        encoder.start_with(config.init.weights)
    if isinstance(encoder, Own):
        encoder.check(config.data.side)
