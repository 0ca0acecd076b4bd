"""Codes whose first numbers are a code by themselves, as those of PCA are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Generator, Tensor

__all__ = ["OrderedDecoder", "code_sizes"]

BETWEEN_SIZES_FRACTION = 0.1
"""Fraction of rows in a step whose codes are cut between two sizes."""

GRADIENT_FRACTIONS = (0.3, 0.35, 0.5, 0.8, 1.0)
"""Fraction of a larger size's gradient that reaches the numbers of each smaller size, the smallest size first.

With all of it the smallest codes become what serves the larger ones, much as PCA's; with none the larger ones have to
do with what the smallest leave. Found on a validation split of MNIST.
"""


def code_sizes(n_components: int) -> tuple[int, ...]:
    """Return the sizes that an ordered code is trained for: 2, 4, 8, ... and all.

    Examples
    --------
    >>> code_sizes(10)
    (2, 4, 8, 10)
    """
    sizes = []
    size = 2
    while size < n_components:
        sizes.append(size)
        size *= 2
    return (*sizes, n_components)


class OrderedDecoder(nn.Module):
    """One decoder for each of a few sizes of the code; a code of another size goes to the next larger one.

    Parameters
    ----------
    decoders : sequence of torch.nn.Module
        Each from a whole code, whose last numbers may be zero, to the head's input.
    sizes : sequence of int
        How many leading numbers each was made for, rising.
    """

    def __init__(self, decoders: Sequence[nn.Module], sizes: Sequence[int]) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(decoders)
        self.sizes = tuple(sizes)

    def forward(self, code: Tensor) -> Tensor:
        """Return the output for a whole code, or for its first few numbers."""
        given = code.shape[1]
        number = next(place for place, size in enumerate(self.sizes) if given <= size)
        return self.decoders[number](functional.pad(code, (0, self.sizes[-1] - given)))

    def outputs(self, code: Tensor, generator: Generator | None = None) -> list[Tensor]:
        """Return the outputs for the leading numbers of all sizes.

        Parameters
        ----------
        code : Tensor, shape (rows, n_components)
            Whole codes.
        generator : torch.Generator, optional
            With one, a third of the rows keep fewer numbers than each decoder's size, but more than that of the one
            before it, at random: so that codes of sizes in between work too.
        """
        found = []
        place = torch.arange(code.shape[1], device=code.device)
        below = 0
        for number, (size, decoder) in enumerate(zip(self.sizes, self.decoders, strict=True)):
            kept = place < size
            if generator is not None:
                draw = torch.rand(2, len(code), 1, generator=generator, device=code.device)
                between = below + 1 + (draw[0] * (size - below)).long()
                kept = place < torch.where(draw[1] < BETWEEN_SIZES_FRACTION, between, size)
            found.append(decoder(self._shared(code, number) * kept))
            below = size
        return found

    def _shared(self, code: Tensor, number: int) -> Tensor:
        """Return codes that pass on only part of the gradient to the numbers that smaller sizes have trained."""
        if number == 0 or not code.requires_grad:
            return code
        share = torch.ones_like(code[0])
        below = 0
        for place, size in enumerate(self.sizes[:number]):
            share[below:size] = GRADIENT_FRACTIONS[min(place, len(GRADIENT_FRACTIONS) - 1)]
            below = size
        still = code.detach()
        return still + (code - still) * share
