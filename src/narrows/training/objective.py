"""What training minimises: a loss that comes in parts, each per row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Generator, Tensor

__all__ = ["LossFunction", "LossParts"]


@dataclass(frozen=True)
class LossParts:
    """The parts of a loss, each of shape (rows,): sums over features, never averages.

    Logs, early stopping, scores and explanations all read these.

    Attributes
    ----------
    parts : dict of str to Tensor
        For example ``reconstruction``, and ``kl`` for a variational model.
    minimised : Tensor or None
        What is minimised, where that is not the sum of the parts.
    """

    parts: dict[str, Tensor]
    minimised: Tensor | None = None

    @property
    def total(self) -> Tensor:
        """What is minimised, shape (rows,): the sum of the parts if nothing else is said."""
        if self.minimised is not None:
            return self.minimised
        first, *rest = self.parts.values()
        for part in rest:
            first = first + part
        return first

    @property
    def several(self) -> dict[str, Tensor]:
        """The parts, where there is more than one."""
        return self.parts if len(self.parts) > 1 else {}

    @classmethod
    def joined(cls, found: Iterable[LossParts]) -> LossParts:
        """Put the losses of several blocks of rows one after the other, on the CPU."""
        losses = list(found)
        parts = {name: torch.cat([loss.parts[name].cpu() for loss in losses]) for name in losses[0].parts}
        summed = losses[0].minimised is None
        return cls(parts, None if summed else torch.cat([loss.total.cpu() for loss in losses]))


class LossFunction(Protocol):
    """From a batch in the data's own type and units to its loss."""

    def __call__(self, batch: Tensor, generator: Generator | None, progress: float = 1.0) -> LossParts:
        """Return the loss of each row; without a generator nothing random happens, and schedules read ``progress``."""
        ...
