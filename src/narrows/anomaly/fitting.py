"""Fitting a detector: to rows that are ordinary, or to rows that are mixed with what is to be found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.base import clone

from narrows.anomaly.columns import BLOCK_ROWS, Columns
from narrows.anomaly.neighbors import Neighbors
from narrows.anomaly.rebuilding import Rebuilder, default_autoencoder

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.autoencoder import Autoencoder

__all__ = ["PARTS", "Options", "Scoring", "fit_mixed", "fit_ordinary"]

PARTS = ("neighbors", "ranks", "reconstruction")

POWER = 0.6
"""How far a distance counts relative to what is usual in its place, for a long table of continuous columns."""

POWER_ROWS = 100
"""So many rows halve that power: of few rows little can be told about what is usual where."""

CLEARLY = 0.25
"""So much more than the others, in spreads, the ranked view must say to count: it sees no gaps between values."""

FEW_ROWS, FEW_FOLDS, FOLDS = 500, 5, 3
"""Folds for the calibration: below so many rows, and from there on."""

SHARE = 0.05
"""Of all rows, the neighbours that are asked where anomalies are among them."""

FIRST_SHARE = 0.1

SET_ASIDE = 0.15
"""Rows that are set aside beyond the expected share of anomalies, where these are among the training rows."""

TYPICAL_SHARE = 0.1
"""The share of anomalies that is reckoned with where nothing is known of it."""

ROUNDS = 2
"""How often rows are set aside and the fit repeated."""


@dataclass(frozen=True)
class Options:
    """What a fit is to do, resolved.

    Attributes
    ----------
    parts : tuple of str
        Some of :data:`PARTS`; the score is the largest of them.
    n_neighbors : int or None
        How many neighbours are asked; None leaves it to the kind of fit.
    autoencoder : Autoencoder or None
        What is trained on the scaled rows, unfitted.
    levels : tuple of int
        The sizes of blocks of categories at the end of the rows.
    remembered : int
        How many rows are kept to compare with, at most.
    seed : int
        For everything random.
    device : str
        Where to compute.
    """

    parts: tuple[str, ...]
    n_neighbors: int | None
    autoencoder: Autoencoder | None
    levels: tuple[int, ...]
    remembered: int
    seed: int
    device: str

    def template(self, n_rows: int, of: int | None = None) -> Autoencoder:
        """Return the autoencoder to fit to so many rows.

        Parameters
        ----------
        n_rows : int
            The rows.
        of : int, optional
            The rows that the final one is fitted to: one that is fitted to fewer takes as many steps, since what an
            autoencoder cannot rebuild depends on how long it was trained.
        """
        if self.autoencoder is None:
            return default_autoencoder(n_rows, self.levels, of or n_rows, seed=self.seed, device=self.device)
        own: Autoencoder = clone(self.autoencoder)
        if own.random_state is None:
            own.set_params(random_state=self.seed)
        if of is not None and not isinstance(own.max_epochs, str):
            own.set_params(max_epochs=round(own.max_epochs * of / n_rows))
        return own


@dataclass(frozen=True)
class Scoring:
    """A fitted detector's way from rows to scores.

    Attributes
    ----------
    rebuilder : Rebuilder
        The scales and the autoencoder.
    neighbors : dict of str to Neighbors
        For the parts of the score that remember rows.
    middles, spreads : dict of str to float
        Median, and half the distance between the 16th and the 84th percentile, of each part's cost over ordinary rows.
    """

    rebuilder: Rebuilder
    neighbors: dict[str, Neighbors]
    middles: dict[str, float]
    spreads: dict[str, float]

    def scores(self, x: Tensor) -> Tensor:
        """Return the scores of rows in the data's units, float64, shape (n,): 0 for a typical one."""
        return self.joined(self.costs(x))

    def costs(self, x: Tensor) -> dict[str, Tensor]:
        """Return what each part says of rows."""
        scaled, residual = self.rebuilder.look(x)
        found = {}
        for part in self.middles:
            if part == "neighbors":
                found[part] = self.neighbors[part].cost(self.rebuilder.join(scaled, residual))
            elif part == "ranks":
                found[part] = self.neighbors[part].cost(self.rebuilder.ranked(x, scaled))
            else:
                found[part] = self.rebuilder.surprise(residual)
        return found

    def joined(self, costs: dict[str, Tensor]) -> Tensor:
        """Return the largest of the parts, each in the spreads of ordinary rows from their median."""
        parts = {part: (cost - self.middles[part]) / self.spreads[part] for part, cost in costs.items()}
        if "ranks" in parts and len(parts) > 1:
            parts["ranks"] = parts["ranks"] - CLEARLY
        return torch.stack(list(parts.values())).amax(0)

    def calibrated(self, costs: dict[str, Tensor]) -> Scoring:
        """Set middles and spreads by what is said of ordinary rows."""
        middles, spreads = {}, {}
        for part, cost in costs.items():
            low, middle, high = (float(q) for q in np.quantile(cost.numpy(), (0.16, 0.5, 0.84)))
            middles[part], spreads[part] = middle, (high - low) / 2 if high - low > 1e-9 else 1.0
        return replace(self, middles=middles, spreads=spreads)


def fit_ordinary(values: np.ndarray, options: Options) -> tuple[Scoring, Tensor]:
    """Fit to rows that are taken for ordinary.

    Parameters
    ----------
    values : ndarray of float64, shape (n, n_values)
        NaN where missing.
    options : Options
        What to do.

    Returns
    -------
    scoring : Scoring
    calibration : Tensor of float64, shape (m,)
        Scores of the remembered rows by autoencoders that were not fitted to them and neighbours without themselves.
    """
    columns = Columns.learn(values, options.levels)
    x = torch.from_numpy(values)
    rebuilder = Rebuilder.learn(columns, x, options.template(len(values)))
    kept = _some(len(values), options.remembered, options.seed)
    count = options.n_neighbors or 5
    power = POWER * (1 - columns.discrete) * len(kept) / (len(kept) + POWER_ROWS)
    neighbors = _remember(rebuilder, x[kept], options.parts, count, power, farthest=False)
    scoring = Scoring(rebuilder, neighbors, dict.fromkeys(options.parts, 0.0), dict.fromkeys(options.parts, 1.0))
    costs = _held_out_costs(scoring, x, kept, options)
    scoring = scoring.calibrated(costs)
    return scoring, scoring.joined(costs)


def _remember(
    rebuilder: Rebuilder, x: Tensor, parts: tuple[str, ...], count: int, power: float, *, farthest: bool
) -> dict[str, Neighbors]:
    """Remember rows for those parts of a score that ask neighbours."""
    found = {}
    scaled, residual = rebuilder.look(x)
    if "neighbors" in parts:
        joined = rebuilder.join(scaled, residual)
        found["neighbors"] = Neighbors.learn(joined, count, power, farthest=farthest)
    if "ranks" in parts:
        found["ranks"] = Neighbors.learn(rebuilder.ranked(x, scaled), count, power, farthest=farthest)
    return found


def _held_out_costs(scoring: Scoring, x: Tensor, kept: np.ndarray, options: Options) -> dict[str, Tensor]:
    """Return what each part would say of the remembered rows if they were new.

    The autoencoder is fitted again without a part of the rows, which then are new to it; of its neighbours a row is
    never one itself. So these costs and those of new rows can change places: cross-conformal prediction (Vovk 2015).
    """
    n_rows, m = len(x), len(kept)
    found: dict[str, Tensor] = {}
    if "ranks" in scoring.middles:
        known = scoring.neighbors["ranks"]
        found["ranks"] = known.cost(known.rows, torch.arange(m))
    names = [part for part in scoring.middles if part != "ranks"]
    if not names:
        return found
    found |= {part: torch.zeros(m, dtype=torch.float64) for part in names}
    n_folds = min(FEW_FOLDS if n_rows < FEW_ROWS else FOLDS, n_rows)
    fold_of = np.random.default_rng(options.seed).permutation(n_rows) % n_folds
    for fold in range(n_folds):
        others = torch.from_numpy(np.flatnonzero(fold_of != fold))
        rebuilder = scoring.rebuilder
        if n_folds > 1:
            rebuilder = Rebuilder.learn(rebuilder.columns, x[others], options.template(len(others), n_rows))
        scaled, residual = rebuilder.look(x[kept])
        mine = torch.from_numpy(np.flatnonzero(fold_of[kept] == fold))
        if "neighbors" in names:
            joined = rebuilder.join(scaled, residual)
            # What is usual in a place is hardly another thing for this autoencoder.
            known = replace(scoring.neighbors["neighbors"], rows=joined)
            found["neighbors"][mine] = known.cost(joined[mine], mine)
        if "reconstruction" in names:
            found["reconstruction"][mine] = rebuilder.surprise(residual[mine])
    return {part: found[part] for part in scoring.middles}


def fit_mixed(values: np.ndarray, share: float | None, options: Options) -> tuple[Scoring, Tensor]:
    """Fit to rows among which there are anomalies.

    Twice the rows that look strangest are set aside, more of them than are expected to be anomalies, and the fit is
    repeated on the others: trimming, as for the minimum covariance determinant (Rousseeuw and Van Driessen 1999). The
    distance is that to the last of so many neighbours that anomalies which lie together do not vouch for each other.

    Parameters
    ----------
    values : ndarray of float64, shape (n, n_values)
        NaN where missing.
    share : float or None
        The share of anomalies; None where it is not known.
    options : Options
        What to do.

    Returns
    -------
    scoring : Scoring
    calibration : Tensor of float64, shape (m,)
        Scores of some of the rows, all if there are not too many, by autoencoders that were not fitted to them.
    """
    x = torch.from_numpy(values)
    set_aside = min(0.5, (TYPICAL_SHARE if share is None else share) + SET_ASIDE)
    scoring = _fit_robustly(values, FIRST_SHARE, options)
    for _ in range(ROUNDS):
        scores = torch.cat([scoring.scores(block) for block in x.split(BLOCK_ROWS)]).numpy()
        kept = scores <= np.quantile(scores, 1 - set_aside)
        scoring = _fit_robustly(values[kept], SHARE / (1 - set_aside), options)
    costs = _costs_as_if_new(scoring, x, kept, options)
    scoring = _scaled_by_half(scoring, costs)
    return scoring, scoring.joined(costs)


def _costs_as_if_new(scoring: Scoring, x: Tensor, kept: np.ndarray, options: Options) -> dict[str, Tensor]:
    """Return what would be said of rows if they were new, of those set aside and of the others in their proportion."""
    fitted, aside = x[torch.from_numpy(kept)], x[torch.from_numpy(~kept)]
    remembered = _some(len(fitted), options.remembered, options.seed)
    costs = _held_out_costs(scoring, fitted, remembered, options)
    some = aside[_some(len(aside), round(len(aside) * len(remembered) / len(fitted)), options.seed)]
    if len(some):
        costs = {part: torch.cat([costs[part], cost]) for part, cost in scoring.costs(some).items()}
    return costs


def _fit_robustly(values: np.ndarray, share: float, options: Options) -> Scoring:
    """Fit to rows, and ask so large a share of them for the distance that a few strange ones do not matter."""
    columns = Columns.learn(values, options.levels)
    x = torch.from_numpy(values)
    rebuilder = Rebuilder.learn(columns, x, options.template(len(values)))
    kept = x[_some(len(values), options.remembered, options.seed)]
    count = options.n_neighbors or max(5, round(share * len(kept)))
    neighbors = _remember(rebuilder, kept, options.parts, count, 0.0, farthest=True)
    blank = Scoring(rebuilder, neighbors, dict.fromkeys(options.parts, 0.0), dict.fromkeys(options.parts, 1.0))
    return _scaled_by_half(blank, blank.costs(kept))


def _scaled_by_half(scoring: Scoring, costs: dict[str, Tensor]) -> Scoring:
    """Set middles and spreads by the lower half of what is said of rows, where no anomalies are."""
    middles, spreads = {}, {}
    for part, cost in costs.items():
        low, middle = (float(q) for q in np.quantile(cost.numpy(), (0.16, 0.5)))
        middles[part], spreads[part] = middle, middle - low if middle - low > 1e-9 else 1.0
    return replace(scoring, middles=middles, spreads=spreads)


def _some(n_rows: int, most: int, seed: int) -> np.ndarray:
    """Return the numbers of so many rows at most, rising, chosen by chance."""
    if n_rows <= most:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).choice(n_rows, most, replace=False))
