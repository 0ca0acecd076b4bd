"""What training minimises: a loss that comes in parts, each per row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["LossParts", "Objective"]


@dataclass(frozen=True)
class LossParts:
    """The parts of a loss, each of shape (rows,): sums over features, never averages.

    Logs, early stopping, scores and explanations all read these.

    Attributes
    ----------
    parts : dict of str to Tensor
        For example ``reconstruction``, and ``kl`` for a variational model.
    """

    parts: dict[str, Tensor]

    @property
    def total(self) -> Tensor:
        """The sum of the parts, shape (rows,)."""
        first, *rest = self.parts.values()
        for part in rest:
            first = first + part
        return first


class Objective(Protocol):
    """From a batch in the data's own type and units to its loss."""

    def __call__(self, batch: Tensor, generator: Generator | None) -> LossParts:
        """Return the loss of each row; without a generator nothing random happens."""
        ...
