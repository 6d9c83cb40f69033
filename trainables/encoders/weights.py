"""Weights from a local file, as torch and torchvision keep them: tensors by name, and never code."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from trainables.errors import InputError

SAFETENSORS = ".safetensors"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors in a .safetensors file, or in one of torch.save's; raise InputError where it holds no such."""
    try:
        tensors = load_file(path) if path.suffix == SAFETENSORS else torch.load(path, "cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"init.weights {path}: cannot be read ({error.strerror or error})") from error
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        said = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise InputError(f"init.weights {path}: no file of weights ({said}); give a .safetensors or a .pth") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise InputError(f"init.weights {path}: holds no tensors by name; give the network's state_dict")
    return tensors
