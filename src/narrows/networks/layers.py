"""A fully connected layer whose result for a row does not depend on the rows beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Bias", "Linear"]

STEADY_WIDTH = 16


class Linear(nn.Linear):
    """As :class:`torch.nn.Linear`, bit for bit the same for a row wherever it stands in a batch.

    Matrix libraries take other paths for results of few columns, and sum in an order that depends on where a row
    lies in memory. When not training, a narrow layer is therefore computed as one of sixteen columns.

    Parameters
    ----------
    weight : Tensor, shape (out_features, in_features)
        Copied; no random numbers are drawn.
    bias : Tensor, shape (out_features,)
        Copied.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = weight.shape
        self.weight = nn.Parameter(weight.detach().float().clone())
        self.bias = nn.Parameter(bias.detach().float().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x @ weight.T + bias``."""
        spare = STEADY_WIDTH - self.out_features
        if self.training or spare <= 0:
            return functional.linear(x, self.weight, self.bias)
        weight = functional.pad(self.weight, (0, 0, 0, spare))
        return functional.linear(x, weight, functional.pad(self.bias, (0, spare)))[:, : self.out_features]


class Bias(nn.Module):
    """Add a row that is learnt: a decoder begins with the mean row, and has what varies left to learn.

    Parameters
    ----------
    values : Tensor, shape (n,)
        To begin with.
    """

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(values.detach().float().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return x + self.bias
