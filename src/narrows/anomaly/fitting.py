"""Fitting a detector: to rows that are normal, or to rows with anomalies among them."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from narrows.anomaly.column_scaler import BLOCK_ROWS, ColumnScaler
from narrows.anomaly.denoiser import Denoiser, default_autoencoder
from narrows.anomaly.reference_set import ReferenceSet
from narrows.anomaly.scorer import PARTS, Scorer
from narrows.autoencoder import Autoencoder
from narrows.data.rows import ArrayRows, sample_numbers
from narrows.fitting.splits import equal_rows
from narrows.validation import check_number, resolve_device, resolve_seed

__all__ = ["DetectorOptions", "fit_clean", "fit_contaminated"]

POWER = 0.6
"""How far a distance counts relative to what is usual in its place, for a long table of continuous columns."""

POWER_ROWS = 100
"""So many rows halve that power: of few rows little can be told about what is usual where."""

FEW_ROWS, FEW_FOLDS, FOLDS = 500, 5, 3
"""Folds for the calibration: below so many rows, and from there on."""

FRACTION, FIRST_FRACTION = 0.05, 0.1
"""Of all rows, the neighbours that count where anomalies are among them; and for the first fit to them."""

SET_ASIDE = 0.15
"""Rows that are set aside beyond the expected fraction of anomalies, where these are among the training rows."""

TYPICAL_CONTAMINATION = 0.1
"""The fraction of anomalies that is reckoned with where nothing is known of it."""

ROUNDS = 2
"""How often rows are set aside and the fit repeated."""


@dataclass(frozen=True)
class DetectorOptions:
    """The parameters of a detector, checked; ``n_neighbors`` None leaves it to the kind of fit."""

    parts: tuple[str, ...]
    n_neighbors: int | None
    autoencoder: Autoencoder | None
    n_reference: int
    seed: int
    device: str
    block_sizes: tuple[int, ...] = ()

    @classmethod
    def resolve(cls, detector: Any) -> DetectorOptions:
        """Check the parameters of a detector."""
        method, contamination = detector.method, detector.contamination
        parts = tuple(method) if isinstance(method, (tuple, list)) else (method,)
        if parts == ("auto",):
            parts = ("neighbors", "ranks") if contamination is None else ("neighbors",)
        if not parts or any(part not in PARTS for part in parts):
            known = ", ".join(map(repr, ("auto", *PARTS)))
            raise ValueError(f"method must be one of {known}, or some of them, got {method!r}")
        check_number("n_neighbors", detector.n_neighbors, integer=True, low=1, auto=True)
        check_number("n_reference", detector.n_reference, integer=True, low=2)
        check_number("false_positive_rate", detector.false_positive_rate, low=0, high=1, open_low=True)
        number = isinstance(contamination, numbers.Real) and not isinstance(contamination, bool)
        if not (contamination is None or contamination == "auto" or (number and 0 < float(contamination) <= 0.5)):
            found = f"got {contamination!r}"
            raise ValueError(f"contamination must be a fraction above 0 and at most 0.5, 'auto' or None, {found}")
        if detector.autoencoder is not None and not isinstance(detector.autoencoder, Autoencoder):
            raise TypeError(f"autoencoder must be an Autoencoder or None, got {detector.autoencoder!r}")
        resolve_device(detector.device)
        n_neighbors = None if isinstance(detector.n_neighbors, str) else int(detector.n_neighbors)
        n_reference, seed = int(detector.n_reference), resolve_seed(detector.random_state)
        return cls(parts, n_neighbors, detector.autoencoder, n_reference, seed, detector.device)

    def template(self, n_rows: int, n_final: int | None = None) -> Autoencoder:
        """Return the unfitted autoencoder to fit to so many rows.

        One that is fitted to fewer than ``n_final`` rows, as the final one is, takes as many steps: what an autoencoder
        cannot reconstruct depends on how long it was trained.
        """
        if self.autoencoder is None:
            return default_autoencoder(n_rows, self.block_sizes, n_final or n_rows, seed=self.seed, device=self.device)
        own: Autoencoder = clone(self.autoencoder)
        if own.random_state is None:
            own.set_params(random_state=self.seed)
        if n_final is not None and not isinstance(own.max_epochs, str):
            own.set_params(max_epochs=round(own.max_epochs * n_final / n_rows))
        return own

    def sample(self, n_rows: int, most: int | None = None) -> np.ndarray:
        """Return the numbers of at most so many rows (``n_reference``), rising, chosen at random."""
        return sample_numbers(n_rows, self.n_reference if most is None else most, self.seed)


def fit_clean(values: np.ndarray, options: DetectorOptions) -> Scorer:
    """Fit to rows that are taken for normal, float64, NaN where missing."""
    x = torch.from_numpy(values)
    scorer, kept = _fit(values, options)
    return scorer.calibrate(_held_out_parts(scorer, x, kept, options))


def fit_contaminated(values: np.ndarray, contamination: float | None, options: DetectorOptions) -> Scorer:
    """Fit to rows among which there are anomalies; None for an unknown fraction of them.

    Twice the rows that look most anomalous are set aside, more of them than are expected to be anomalies, and the fit
    is repeated on the others: trimming, as for the minimum covariance determinant (Rousseeuw and Van Driessen 1999).
    The distance is that to the last of so many neighbours that anomalies do not vouch for each other.
    """
    x = torch.from_numpy(values)
    set_aside = min(0.5, (TYPICAL_CONTAMINATION if contamination is None else contamination) + SET_ASIDE)
    scorer = _fit_robustly(values, FIRST_FRACTION, options)
    for _ in range(ROUNDS):
        scores = torch.cat([scorer.scores(block) for block in x.split(BLOCK_ROWS)]).numpy()
        kept = scores <= np.quantile(scores, 1 - set_aside)
        scorer = _fit_robustly(values[kept], FRACTION / (1 - set_aside), options)
    return scorer.calibrate(_parts_as_if_new(scorer, x, kept, options), contaminated=True)


def _fit_robustly(values: np.ndarray, fraction: float, options: DetectorOptions) -> Scorer:
    """Fit to rows, with so large a fraction of them for neighbours that a few anomalies do not matter."""
    scorer, kept = _fit(values, options, fraction)
    return scorer.calibrate(scorer.parts(torch.from_numpy(values)[kept]), contaminated=True)


def _fit(values: np.ndarray, options: DetectorOptions, fraction: float | None = None) -> tuple[Scorer, np.ndarray]:
    """Fit all but the calibration; return with it the numbers of the reference rows."""
    x = torch.from_numpy(values)
    scaler = ColumnScaler.fit(values, options.block_sizes)
    denoiser = Denoiser.fit(scaler, x, options.template(len(values)))
    kept = options.sample(len(values))
    power = 0.0
    if fraction is None:
        power = POWER * (1 - scaler.discrete_fraction) * len(kept) / (len(kept) + POWER_ROWS)
    n_neighbors = options.n_neighbors or (5 if fraction is None else max(5, round(fraction * len(kept))))
    references = {
        part: ReferenceSet.fit(view, n_neighbors, power, farthest=fraction is not None)
        for part, view in denoiser.views(x[kept], options.parts).items()
        if part != "reconstruction"
    }
    return Scorer.uncalibrated(denoiser, references, options.parts), kept


def _held_out_parts(scorer: Scorer, x: Tensor, kept: np.ndarray, options: DetectorOptions) -> dict[str, Tensor]:
    """Return what each part of a score would say of the reference rows if they were new.

    The autoencoder is fitted again without a part of the rows, which then are new to it; of its neighbours a row is
    never one itself. So these scores and those of new rows can change places: cross-conformal prediction (Vovk 2015).
    """
    n_rows, m = len(x), len(kept)
    found = {part: torch.zeros(m, dtype=torch.float64) for part in scorer.medians}
    if "ranks" in found:
        known = scorer.references["ranks"]
        found["ranks"] = known.log_distance(known.rows, torch.arange(m))
    if set(found) == {"ranks"}:
        return found
    n_folds = min(FEW_FOLDS if n_rows < FEW_ROWS else FOLDS, n_rows)
    # A row is not new where its twin is known.
    twins = equal_rows(ArrayRows(x.numpy()))
    group_of = np.arange(n_rows) if twins is None or twins.max() < n_folds else twins
    fold_of = (np.random.default_rng(options.seed).permutation(int(group_of.max()) + 1) % n_folds)[group_of]
    for fold in range(n_folds):
        denoiser = scorer.denoiser
        if n_folds > 1:
            others = torch.from_numpy(np.flatnonzero(fold_of != fold))
            denoiser = Denoiser.fit(denoiser.scaler, x[others], options.template(len(others), n_rows))
        views = denoiser.views(x[kept], found.keys() - {"ranks"})
        mine = torch.from_numpy(np.flatnonzero(fold_of[kept] == fold))
        if "neighbors" in found:
            joint = views["neighbors"]
            # What is usual in a place is hardly another thing for this autoencoder.
            known = replace(scorer.references["neighbors"], rows=joint)
            found["neighbors"][mine] = known.log_distance(joint[mine], mine)
        if "reconstruction" in found:
            found["reconstruction"][mine] = denoiser.log_residual(views["reconstruction"][mine])
    return found


def _parts_as_if_new(scorer: Scorer, x: Tensor, kept: np.ndarray, options: DetectorOptions) -> dict[str, Tensor]:
    """Return what would be said of rows if they were new, of those set aside and of the others in their proportion."""
    fitted, aside = x[torch.from_numpy(kept)], x[torch.from_numpy(~kept)]
    reference = options.sample(len(fitted))
    parts = _held_out_parts(scorer, fitted, reference, options)
    some = aside[options.sample(len(aside), round(len(aside) * len(reference) / len(fitted)))]
    if len(some):
        parts = {part: torch.cat([parts[part], more]) for part, more in scorer.parts(some).items()}
    return parts
