"""A fully connected layer whose result for a row does not depend on the rows beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Linear", "linear"]

STEADY_WIDTH = 16


class Linear(nn.Linear):
    """As :class:`torch.nn.Linear`, bit for bit the same for a row wherever it stands in a batch.

    Matrix libraries take other paths for results of few columns, and sum in an order that depends on where a row
    lies in memory. When not training, a narrow layer is therefore computed as one of sixteen columns.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x @ weight.T + bias``."""
        spare = STEADY_WIDTH - self.out_features
        if self.training or spare <= 0:
            return functional.linear(x, self.weight, self.bias)
        weight = functional.pad(self.weight, (0, 0, 0, spare))
        return functional.linear(x, weight, functional.pad(self.bias, (0, spare)))[:, : self.out_features]


def linear(weight: Tensor, bias: Tensor) -> Linear:
    """Make a layer of these values, without drawing random numbers."""
    layer = nn.utils.skip_init(Linear, weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer
