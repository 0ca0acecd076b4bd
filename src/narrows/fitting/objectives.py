"""What an autoencoder is trained on: to rebuild clean rows from what it is shown of them.

What it is shown is the row itself, a corrupted copy (afresh at each step; for held-out rows the same each time, so
that evaluations can be compared), or another row that stands beside it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from narrows.data.rows import Pair
from narrows.training.objective import LossParts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Generator, Tensor

    from narrows.data.rows import Rows
    from narrows.networks.model import EncoderDecoder

    Corrupt = Callable[[Tensor, Generator], Tensor]

__all__ = ["BLOCK_ROWS", "OrderedReconstruction", "Reconstruction", "corrupted_blocks", "corrupted_std", "shown"]

LITTLE = 1e-2
"""Share of the largest error below which a smaller one no longer counts for more."""

BLOCK_ROWS = 1024
"""Rows held out are always shown in blocks of this many: the noise on each is then the same every time."""


def shown(batch: Any, corrupt: Corrupt | None, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """Part a batch into clean rows and what the encoder is shown of them.

    Parameters
    ----------
    batch : Tensor or Pair
        Rows in the data's own type and units, perhaps with others beside them.
    corrupt : callable or None
        From float rows and a generator to corrupted rows.
    generator : torch.Generator or None
        Without one nothing is corrupted.

    Returns
    -------
    clean, seen : Tensor, shape (rows, n_features)
    """
    clean, seen = (batch.rows, batch.beside) if isinstance(batch, Pair) else (batch, batch)
    if corrupt is not None and generator is not None:
        floats = seen if seen.is_floating_point() else seen.float()
        seen = corrupt(floats, generator)
        if seen.shape != floats.shape:
            raise ValueError(f"the corruption turned rows of shape {tuple(floats.shape)} into {tuple(seen.shape)}")
    return clean, seen


def corrupted_blocks(rows: Rows, corrupt: Corrupt | None, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield clean rows and what the encoder is shown of them, in order, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed + 1)
    for block in rows.blocks(BLOCK_ROWS):
        yield shown(block, corrupt, generator)


def corrupted_std(rows: Rows, corrupt: Corrupt | None, seed: int, standardise: Any) -> Tensor:
    """Return the standard deviation of each column of what the encoder is shown, from the first few blocks."""
    blocks = islice(corrupted_blocks(rows, corrupt, seed), 4)
    return torch.cat([standardise(seen) for _, seen in blocks]).double().std(0, correction=0)


class Reconstruction:
    """The cost of rebuilding clean rows.

    Parameters
    ----------
    model : EncoderDecoder
        What is trained.
    corrupt : callable, optional
        From float rows in the data's units and a generator to corrupted rows.
    """

    def __init__(self, model: EncoderDecoder, corrupt: Corrupt | None = None) -> None:
        self.model = model
        self.corrupt = corrupt

    def __call__(self, batch: Any, generator: Generator | None, progress: float = 1.0) -> LossParts:
        """Return the cost of each row."""
        clean, seen = shown(batch, self.corrupt, generator)
        standardise = self.model.standardise
        z = standardise(clean)
        output = self.model.output(z if seen is clean else standardise(seen))
        return LossParts({"reconstruction": self.model.head.nll_per_row(output, clean, z)})


class OrderedReconstruction(Reconstruction):
    """The geometric mean of the costs of rebuilding rows from the first 2, 4, 8, ... numbers of their codes.

    The geometric mean, whose gradient is that of the logarithms, since errors fall tenfold from the smallest code to
    the largest and each size is to come near what a model of that size alone would reach. The idea of a loss over
    leading parts of a code: nested dropout (Rippel, Gelbart and Adams 2014) and Matryoshka representations (Kusupati
    et al. 2022); here all sizes are trained at every step, each with a decoder of its own.
    """

    def __call__(self, batch: Any, generator: Generator | None, progress: float = 1.0) -> LossParts:
        """Return the cost of each row."""
        clean, seen = shown(batch, self.corrupt, generator)
        model = self.model
        z = model.standardise(clean)
        code = model.encoder[1](z if seen is clean else model.standardise(seen))
        cuts = generator if model.training else None
        outputs: list[Tensor] = model.decoder[1].outputs(code, cuts)  # type: ignore[operator]
        costs = [model.head.nll_per_row(output, clean, z) for output in outputs]
        # Costs weighed so that their sum is the geometric mean, and its gradient theirs.
        means = torch.stack([cost.detach().mean() for cost in costs]).clamp_min(1e-30)
        # A size at which next to nothing is left must not outweigh all others.
        means = means + LITTLE * means.max()
        mean = means.log().mean().exp()
        parts = [cost * (mean / (len(costs) * own)) for cost, own in zip(costs, means, strict=True)]
        return LossParts({"reconstruction": torch.stack(parts).sum(0)})
