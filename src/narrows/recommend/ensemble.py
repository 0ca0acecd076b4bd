"""Several scorers together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from narrows.recommend.bags import Bags

__all__ = ["EnsembleScorer"]


class EnsembleScorer(nn.Module):
    """Scores of several scorers, each standardised for each user, added with weights.

    Parameters
    ----------
    parts : sequence of Module
        The scorers.
    weights : sequence of float
        What each counts.
    """

    weights: Tensor

    def __init__(self, parts: Sequence[Any], weights: Sequence[float]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.register_buffer("weights", torch.tensor(list(weights), dtype=torch.float32))

    @property
    def n_items(self) -> int:
        """How many items it scores."""
        first: Any = self.parts[0]
        return int(first.n_items)

    def forward(self, bags: Bags) -> Tensor:
        """Return scores, shape (n_users, n_items)."""
        total: Tensor | None = None
        for part, weight in zip(self.parts, self.weights, strict=True):
            scores = part(bags)
            spread, mean = torch.std_mean(scores, dim=1, keepdim=True, correction=0)
            scores = scores.sub_(mean).mul_(weight / spread.clamp_min(1e-12))
            total = scores if total is None else total.add_(scores)
        assert total is not None
        return total

    def similar(self, items: Tensor) -> Tensor:
        """Return the first scorer's similarities, shape (n, n_items)."""
        first: Any = self.parts[0]
        found: Tensor = first.similar(items)
        return found
