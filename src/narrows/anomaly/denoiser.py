"""The detector's denoising autoencoder: what each value of a row was expected to be, given the others."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from sklearn.base import clone
from torch import Tensor

from narrows.anomaly.column_scaler import BLOCK_ROWS
from narrows.autoencoder import Autoencoder
from narrows.corruption import Swap
from narrows.errors import NotBetterThanBaselineWarning
from narrows.likelihoods import Mixed
from narrows.networks import Dense

if TYPE_CHECKING:
    from narrows.anomaly.column_scaler import ColumnScaler

__all__ = ["Denoiser", "default_autoencoder"]

N_COMPONENTS, HIDDEN, BATCH_SIZE, LEARNING_RATE = 16, 64, 256, 5e-3

LEAST_STEPS, MOST_STEPS, ROWS_A_STEP = 150, 3000, 50
"""Of long tables there are as many steps as the last goes into the rows."""

EXAMPLES = 300
"""Rows of the fit that are kept to tell what is usual when a row is explained."""

FLOOR = 1e-2
"""Added to the size of residuals, in standard deviations: a column that is predicted exactly has next to none."""


def default_autoencoder(
    n_rows: int, block_sizes: tuple[int, ...], n_final: int, *, seed: int, device: str
) -> Autoencoder:
    """Return the unfitted autoencoder that a detector trains where it is given none.

    Small and trained briefly, to undo the swapping of three values in ten with those of other rows: what it then
    cannot reconstruct is what does not go with the rest of its row. Size and length were chosen on validation runs over
    the tables of ``bench/``: longer training and larger networks found no more. It takes as many steps as one that is
    fitted to ``n_final`` rows.
    """
    batch_size = min(BATCH_SIZE, n_rows)
    steps = min(max(n_final // ROWS_A_STEP, LEAST_STEPS), MOST_STEPS)
    return Autoencoder(
        N_COMPONENTS,
        network=Dense((HIDDEN,)),
        corruption=Swap(levels=block_sizes),
        likelihood=Mixed(block_sizes, "fixed") if block_sizes else "gaussian",
        scaling="standard" if block_sizes else "none",
        learning_rate=LEARNING_RATE,
        batch_size=batch_size,
        max_epochs=max(1, round(steps / -(-n_rows // batch_size))),
        early_stopping=False,
        validation_fraction=0.0,
        device=device,
        random_state=seed,
    )


@dataclass(frozen=True)
class Denoiser:
    """A fitted autoencoder on the scaled columns of a table."""

    scaler: ColumnScaler
    autoencoder: Autoencoder
    residual_std: Tensor  # (n_values,): root mean square of the residuals of the training rows, in standard deviations
    examples: Tensor  # (m, n_values): a few of the training rows in the network's units

    @classmethod
    def fit(cls, scaler: ColumnScaler, x: Tensor, template: Autoencoder) -> Denoiser:
        """Fit a clone of an autoencoder to rows in the data's units."""
        z = scaler.transform(x)
        filled = torch.where(torch.isnan(z), scaler.fill_values, z)
        with warnings.catch_warnings():
            # Of a detector one does not ask whether it reconstructs better than PCA.
            warnings.simplefilter("ignore", NotBetterThanBaselineWarning)
            fitted = clone(template).fit(filled.numpy())
        # Nor does it wonder about rows that are far out, which are what a detector is for.
        fitted.forget_limits()
        start = cls(scaler, fitted, torch.ones(scaler.weights.shape), filled[:0])
        squares = torch.zeros(scaler.weights.shape, dtype=torch.float64)
        for block in x.split(BLOCK_ROWS):
            squares += start.residuals(block)[1].double().square().sum(0)
        residual_std = (squares / len(x)).sqrt().float() + FLOOR
        chosen = torch.linspace(0, len(x) - 1, min(len(x), EXAMPLES)).round().long()
        return cls(scaler, fitted, residual_std, filled[chosen])

    def reconstruct(self, z: Tensor) -> Tensor:
        """Return what the autoencoder makes of rows in the network's units."""
        return torch.from_numpy(self.autoencoder.reconstruct(z.numpy()))

    def residuals(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values of rows in the data's units, and their residuals, both in standard deviations.

        A missing value (NaN) is what it was reconstructed as.
        """
        z = self.scaler.transform(x)
        missing = torch.isnan(z)
        filled = torch.where(missing, self.scaler.fill_values, z)
        output = self.reconstruct(filled)
        if bool(missing.any()):
            filled = torch.where(missing, output, filled)
            output = torch.where(missing, filled, self.reconstruct(filled))
        return self.scaler.standardise(filled), (filled - output) * self.scaler.weights

    def views(self, x: Tensor, parts: Iterable[str]) -> dict[str, Tensor]:
        """Return what each part of a score looks at in rows in the data's units."""
        standardised, residual = self.residuals(x)
        found = {}
        for part in parts:
            if part == "neighbors":
                # Values and residuals side by side. Residuals are divided by the square root of their size, halfway
                # between their own size and one size for all: a column that is predicted well counts for more, but not
                # as much as that its noise would drown the others.
                found[part] = torch.cat([standardised, residual / self.residual_std.sqrt()], 1)
            else:
                found[part] = self._rank_view(x, standardised) if part == "ranks" else residual
        return found

    def _rank_view(self, x: Tensor, standardised: Tensor) -> Tensor:
        """Return the view by ranks of rows in the data's units; a missing value is what it was reconstructed as."""
        missing = torch.isnan(x)
        if bool(missing.any()):
            n = self.scaler.n_numbers
            numbers = self.scaler.inverse_transform(standardised[:, :n])
            blocks = (standardised / self.scaler.weights + self.scaler.fill_values)[:, n:]
            x = torch.where(missing, torch.cat([numbers, blocks.double()], 1), x)
        return self.scaler.rank_view(x)

    def log_residual(self, residual: Tensor) -> Tensor:
        """Return the logarithm of the root mean square of residuals over their size, float64, shape (n,)."""
        return torch.log((residual / self.residual_std).double().square().mean(1).sqrt() + 1e-6)
