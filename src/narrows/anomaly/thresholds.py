"""From scores to decisions, with an error rate that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["benjamini_hochberg", "conformal_p_values", "score_at_rate", "score_far_out"]


def conformal_p_values(scores: np.ndarray, calibration: Tensor) -> np.ndarray:
    """Return how likely a row that is ordinary has such a score or a higher one.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Higher is stranger.
    calibration : Tensor of shape (m,)
        Scores of ordinary rows that are new to the model, rising.

    Returns
    -------
    ndarray of shape (n,)
        ``(1 + how many of the m are as high) / (m + 1)``: between 1 / (m + 1) and 1. Of ordinary rows they are as good
        as uniform, or larger (Vovk, Gammerman and Shafer 2005; for outliers Bates et al. 2023).
    """
    known = calibration.numpy()
    as_high = len(known) - np.searchsorted(known, scores, side="left")
    return (1 + as_high) / (len(known) + 1)


def benjamini_hochberg(p_values: np.ndarray, fdr: float) -> np.ndarray:
    """Say which p-values are discoveries, of which a share of ``fdr`` is expected to be false at most.

    Parameters
    ----------
    p_values : ndarray of shape (n,)
        Of all rows that are tested together.
    fdr : float
        The false discovery rate.

    Returns
    -------
    ndarray of bool, shape (n,)
        By the step-up procedure of Benjamini and Hochberg (1995). Conformal p-values depend on each other in the way
        that leaves its guarantee in force (Bates et al. 2023).
    """
    n = len(p_values)
    if n == 0:
        return np.zeros(0, dtype=bool)
    rising = np.sort(p_values)
    below = np.flatnonzero(rising <= fdr * np.arange(1, n + 1) / n)
    return p_values <= rising[below[-1]] if len(below) else np.zeros(n, dtype=bool)


def score_at_rate(calibration: Tensor, rate: float) -> float:
    """Return the score that new ordinary rows pass at this rate.

    A score above it has a conformal p-value of ``rate`` or less. With fewer than ``1 / rate - 1`` calibration rows no
    score can be told to be that rare; it is then their highest, which new rows pass more often.
    """
    known = calibration.numpy()
    place = max(1, int(np.floor(rate * (len(known) + 1) + 1e-9)))
    return float(known[-min(place, len(known))])


def score_far_out(calibration: Tensor, rate: float) -> float:
    """Return the score that ordinary rows would pass at this rate if their scores were normal.

    For scores among which are those of anomalies: what is normal is told by their lower three quarters alone, by the
    wider of the two sides of the middle.
    """
    low, middle, high = np.quantile(calibration.numpy(), (0.16, 0.5, 0.75))
    spread = max((low - middle) / ndtri(0.16), (high - middle) / ndtri(0.75))
    return float(middle - ndtri(rate) * spread)
