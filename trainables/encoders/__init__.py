"""What makes an embedding of a chip; a file an encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trainables.config import Network
from trainables.encoders.encoder import Encoder
from trainables.encoders.report import Report

ENCODERS: Mapping[str, Callable[[Network, int], Encoder]] = {  # of the side of a chip
    "report": Report,
}


def make_encoder(network: Network, side: int) -> Encoder:
    """Return the encoder that `network` names, for chips of `side`."""
    return ENCODERS[network.encoder](network, side)
