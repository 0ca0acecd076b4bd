"""What a denoising autoencoder makes of rows: what each value was expected to be, given the others."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from sklearn.base import clone

from narrows.anomaly.columns import BLOCK_ROWS
from narrows.autoencoder import Autoencoder
from narrows.corruption import Swap
from narrows.errors import NotBetterThanBaselineWarning
from narrows.likelihoods import Mixed
from narrows.networks import Dense

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.anomaly.columns import Columns

__all__ = ["Rebuilder", "default_autoencoder"]

CODE = 16
HIDDEN = 64
BATCH = 256
LEARNING_RATE = 5e-3

LEAST_STEPS, MOST_STEPS = 150, 3000
ROWS_A_STEP = 50
"""Of long tables there are as many steps as this goes into the rows."""

EXAMPLES = 300
"""Rows of the fit that are kept to tell what is usual when a row is explained."""

FLOOR = 1e-2
"""Added to the spread of residuals, in standard deviations: a column that is rebuilt exactly has next to none."""


def default_autoencoder(n_rows: int, levels: tuple[int, ...], of: int, *, seed: int, device: str) -> Autoencoder:
    """Return the unfitted autoencoder that a detector trains where it is given none.

    Small and trained briefly, to undo the swapping of three values in ten with those of other rows: what it then
    cannot rebuild is what does not go with the rest of its row. Size and length were chosen on validation runs over
    the tables of ``bench/``: longer training and larger networks found no more.

    Parameters
    ----------
    n_rows : int
        How many rows it is to be fitted to.
    levels : tuple of int
        The sizes of blocks of categories at the end of the rows.
    of : int
        The rows that the number of steps goes by.
    seed : int
        For everything random.
    device : str
        Where to compute.
    """
    batch = min(BATCH, n_rows)
    steps = min(max(of // ROWS_A_STEP, LEAST_STEPS), MOST_STEPS)
    return Autoencoder(
        CODE,
        network=Dense((HIDDEN,)),
        corruption=Swap(levels=levels),
        likelihood=Mixed(levels, "fixed") if levels else "gaussian",
        scaling="standard" if levels else "none",
        learning_rate=LEARNING_RATE,
        batch_size=batch,
        max_epochs=max(1, round(steps / -(-n_rows // batch))),
        early_stopping=False,
        validation_fraction=0.0,
        device=device,
        random_state=seed,
    )


@dataclass(frozen=True)
class Rebuilder:
    """A fitted autoencoder on the scaled columns of a table.

    Attributes
    ----------
    columns : Columns
        The scales.
    autoencoder : Autoencoder
        Fitted to rows in the network's units.
    spread : Tensor of float32, shape (n_values,)
        Root mean square of the residuals of the training rows, in standard deviations.
    examples : Tensor of float32, shape (m, n_values)
        A few of the training rows in the network's units.
    """

    columns: Columns
    autoencoder: Autoencoder
    spread: Tensor
    examples: Tensor

    @classmethod
    def learn(cls, columns: Columns, x: Tensor, template: Autoencoder) -> Rebuilder:
        """Fit a clone of an autoencoder to rows in the data's units."""
        units = columns.units(x)
        filled = torch.where(torch.isnan(units), columns.base, units)
        with warnings.catch_warnings():
            # Of a detector one does not ask whether it rebuilds better than PCA.
            warnings.simplefilter("ignore", NotBetterThanBaselineWarning)
            fitted = clone(template).fit(filled.numpy())
        start = cls(columns, fitted, torch.ones(columns.weight.shape), filled[:0])
        squares = torch.zeros(columns.weight.shape, dtype=torch.float64)
        for block in x.split(BLOCK_ROWS):
            squares += start.look(block)[1].double().square().sum(0)
        spread = (squares / len(x)).sqrt().float() + FLOOR
        some = torch.linspace(0, len(x) - 1, min(len(x), EXAMPLES)).round().long()
        return cls(columns, fitted, spread, filled[some])

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows and what is amiss in them.

        Parameters
        ----------
        x : Tensor, shape (n, n_values)
            Rows in the data's units; NaN where missing.

        Returns
        -------
        scaled, residual : Tensor of float32, shape (n, n_values)
            The values, and how far they are from what they were rebuilt as, both in standard deviations. A missing
            value is what it was rebuilt as.
        """
        units = self.columns.units(x)
        missing = torch.isnan(units)
        filled = torch.where(missing, self.columns.base, units)
        rebuilt = self.rebuild(filled)
        if bool(missing.any()):
            filled = torch.where(missing, rebuilt, filled)
            rebuilt = torch.where(missing, filled, self.rebuild(filled))
        return self.columns.scaled(filled), (filled - rebuilt) * self.columns.weight

    def ranked(self, x: Tensor, scaled: Tensor) -> Tensor:
        """Return the ranked view of rows; a missing value is what it was rebuilt as.

        Parameters
        ----------
        x : Tensor of float64, shape (n, n_values)
            Rows in the data's units; NaN where missing.
        scaled : Tensor of float32, shape (n, n_values)
            The same as :meth:`look` gives them.
        """
        missing = torch.isnan(x)
        if bool(missing.any()):
            numbers = self.columns.numbers(scaled[:, : self.columns.n_numbers])
            blocks = (scaled / self.columns.weight + self.columns.base)[:, self.columns.n_numbers :]
            x = torch.where(missing, torch.cat([numbers, blocks.double()], 1), x)
        return self.columns.ranked(x)

    def rebuild(self, units: Tensor) -> Tensor:
        """Return what rows in the network's units are rebuilt as."""
        return torch.from_numpy(self.autoencoder.reconstruct(units.numpy()))

    def join(self, scaled: Tensor, residual: Tensor) -> Tensor:
        """Return values and residuals side by side, shape (n, 2 * n_values): the space that neighbours are sought in.

        Residuals are divided by the square root of their spread, halfway between their own size and one size for all:
        a column that is rebuilt well counts for more, but not as much as that its noise would drown the others.
        """
        return torch.cat([scaled, residual / self.spread.sqrt()], 1)

    def surprise(self, residual: Tensor) -> Tensor:
        """Return the logarithm of the root mean square of residuals over their spread, float64, shape (n,)."""
        return torch.log((residual / self.spread).double().square().mean(1).sqrt() + 1e-6)
