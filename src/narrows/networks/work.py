"""How much arithmetic a network takes for one row: what plans and thread counts go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.networks.model import EncoderDecoder

__all__ = ["work_per_row"]


def work_per_row(model: EncoderDecoder, n_features: int) -> int:
    """Return the multiplications that one row takes, there and back.

    Convolutions use each weight at many places, so the number of parameters says little of them: one row of zeros
    is sent through and every layer's output counted. Other layers than convolutions count their parameters.

    Parameters
    ----------
    model : EncoderDecoder
        The pipeline.
    n_features : int
        Columns.
    """
    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    work = sum(p.numel() for p in model.parameters())
    if not convolutions:
        return work
    places = 0

    def count(part: Any, given: Any, output: Tensor) -> None:  # noqa: ARG001
        nonlocal places
        places += part.weight.numel() * (output[0, 0].numel() - 1)

    hooks = [part.register_forward_hook(count) for part in convolutions]
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            model.output(torch.zeros(1, n_features, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return work + places
