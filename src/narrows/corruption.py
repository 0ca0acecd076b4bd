"""Corruption: how an input is corrupted before it is encoded, for a denoising autoencoder.

The network sees the corrupted row and is asked for the clean one, with fresh corruption at each step (Vincent et
al. 2008, *Extracting and composing robust features with denoising autoencoders*). Corruption acts in the data's
own units, before anything is scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from narrows.options import Option, check_numbers

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["Corruption", "Gaussian", "Masking", "SaltAndPepper", "Swap"]


@dataclass(frozen=True)
class Corruption(Option):
    """The family of corruptions; a function ``f(x, generator) -> x`` on float tensors serves as well."""

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Return a corrupted copy of ``x``.

        Parameters
        ----------
        x : Tensor of float, shape (rows, n_features)
            Clean rows in the data's units; left as they are.
        generator : torch.Generator
            The only source of randomness.
        """
        raise TypeError(f"{type(self).__name__} does not corrupt anything")


@dataclass(frozen=True)
class Gaussian(Corruption):
    """Add independent normal noise.

    Parameters
    ----------
    sigma : float, default 0.1
        Standard deviation, in the data's units (25 for a photograph in 0..255, 0.1 for one in 0..1).
    clip : tuple of two floats, optional
        What the noisy values are clipped to, as a camera or an 8-bit file does; by default they are not.
    """

    sigma: float = 0.1
    clip: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "sigma")
        if self.clip is None:
            return
        if not isinstance(self.clip, tuple) or len(self.clip) != 2 or not self.clip[0] < self.clip[1]:
            raise ValueError(f"clip must be two rising numbers, got {self.clip!r}")

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Return ``x`` with noise added."""
        import torch

        noisy = torch.empty_like(x).normal_(0.0, self.sigma, generator=generator).add_(x)
        return noisy if self.clip is None else noisy.clamp_(*self.clip)


@dataclass(frozen=True)
class Masking(Corruption):
    """Set a fraction of the values to zero.

    Parameters
    ----------
    p : float, default 0.3
        The probability of each value to be set to zero.
    """

    p: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "p", high=1 + 1e-9)

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Return ``x`` with some values zero."""
        import torch

        return x * (torch.empty_like(x).uniform_(generator=generator) >= self.p)


@dataclass(frozen=True)
class SaltAndPepper(Corruption):
    """Set a fraction of the values to one of the two extremes, with equal probability.

    Parameters
    ----------
    p : float, default 0.3
        The probability of each value to be replaced.
    low, high : float, default 0 and 1
        The extremes, in the data's units (0 and 255 for 8-bit images).
    """

    p: float = 0.3
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "p", high=1 + 1e-9)
        if not self.low <= self.high:
            raise ValueError(f"low must not be above high, got {self.low!r} and {self.high!r}")

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Return ``x`` with some values at an extreme."""
        import torch

        draw = torch.empty_like(x).uniform_(generator=generator)
        peppered = torch.where(draw < self.p / 2, torch.full_like(x, self.low), x)
        return torch.where(draw >= 1 - self.p / 2, torch.full_like(x, self.high), peppered)


@dataclass(frozen=True)
class Swap(Corruption):
    """Replace a fraction of the values by those of other rows, column by column.

    For tables: the noise of each column is its own distribution, whatever its units, and what is left to learn is how
    columns go together. As in SCARF (Bahri et al. 2022) and the denoising autoencoders that win table competitions.

    Parameters
    ----------
    p : float, default 0.3
        The probability of each value to be replaced by that of a row of the same batch.
    levels : tuple of int, default ()
        How many columns each block of a category has, at the end of the rows: a block is replaced as one.
    """

    p: float = 0.3
    # Not annotated as numbers: no command line can name the blocks of a table.
    levels: Any = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "p", high=1 + 1e-9)
        if not isinstance(self.levels, tuple) or not all(isinstance(size, int) and size > 0 for size in self.levels):
            raise ValueError(f"levels must be a tuple of sizes such as (2, 5), got {self.levels!r}")

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Return ``x`` with some values of other rows."""
        import torch

        n_rows, n_features = x.shape
        blocks = tuple(self.levels)
        if sum(blocks) > n_features:
            raise ValueError(f"blocks of {blocks} columns do not fit into rows of {n_features}")
        n_parts = n_features - sum(blocks) + len(blocks)
        other = torch.randint(n_rows, (n_rows, n_parts), generator=generator, device=x.device)
        swapped = torch.empty((n_rows, n_parts), device=x.device).uniform_(generator=generator) < self.p
        if blocks:
            sizes = torch.tensor([1] * (n_features - sum(blocks)) + list(blocks), device=x.device)
            other, swapped = (part.repeat_interleave(sizes, 1) for part in (other, swapped))
        return torch.where(swapped, x.gather(0, other), x)
