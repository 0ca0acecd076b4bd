"""Rows that are far from those of the fit: in other units, or of something else."""

from __future__ import annotations

import warnings

import numpy as np

from narrows.data.rows import Rows
from narrows.errors import UnlikeTrainingDataWarning

__all__ = ["warn_if_unlike"]

LOOKED_AT = 1000
"""The first rows of a batch, which tell in what units it is."""

FEWEST, FEWEST_FAR = 20, 10
"""Fewer rows than this may well be alike by chance, or far out."""

NARROW = 0.02
"""Rows that span so little of the range of the fit, in nearly all columns, are in other units."""

_SHOWN = 5


def warn_if_unlike(rows: Rows, low: np.ndarray, high: np.ndarray, names: list[str] | None) -> None:
    """Warn of columns that lie far outside the range of the fit, and of rows that hardly span any of it."""
    block = next(iter(rows.blocks(LOOKED_AT)), None)
    if names is None:
        # Columns without names are alike, as pixels are: one of them may have seen little.
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    spread = high - low
    if block is None or len(block) < FEWEST_FAR or not (spread > 0).any():
        return
    values = block[:LOOKED_AT].numpy().astype(np.float64)
    observed = np.isfinite(values)
    outside = ((values < low - spread) | (values > high + spread)) & observed & (spread > 0)
    far = np.flatnonzero(outside.sum(0) > 0.5 * np.maximum(observed.sum(0), 1))
    if len(far):
        shown = [names[number] if names else f"column {number}" for number in far[:_SHOWN]]
        more = f" and {len(far) - _SHOWN} more" if len(far) > _SHOWN else ""
        first = far[0]
        ranges = f"{shown[0]} from {np.nanmin(values[:, first]):.4g} to {np.nanmax(values[:, first]):.4g}, in the fit"
        text = f"{ranges} from {low[first]:.4g} to {high[first]:.4g}"
        warnings.warn(
            f"rows are far outside what the fit saw, in {', '.join(shown)}{more} ({text}): are they in other units?",
            UnlikeTrainingDataWarning,
            stacklevel=5,
        )
        return
    varying = spread > 0
    if len(values) < FEWEST or varying.sum() < 3 or not observed.all():
        return
    narrow = np.ptp(values, axis=0)[varying] < NARROW * spread[varying]
    if np.mean(narrow) > 0.9 and np.ptp(values) < NARROW * (high.max() - low.min()):
        warnings.warn(
            f"rows span {np.ptp(values):.4g}, where those of the fit spanned {high.max() - low.min():.4g}: are they in "
            "other units?",
            UnlikeTrainingDataWarning,
            stacklevel=5,
        )
