"""What the fits of all labs have in common."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from narrows.errors import NotBetterThanBaselineWarning, PosteriorCollapseWarning

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Progress", "fit_quietly"]

Progress = Callable[[str, str], None]
"""Told what is being done: a stage, and how far it is (may be empty)."""


def fit_quietly(model: Any, rows: np.ndarray, labels: np.ndarray | None = None) -> str | None:
    """Fit, and return what narrows warned of, that the model is no better than a trivial answer, rather than give it.

    Parameters
    ----------
    model : estimator
        What to fit.
    rows : ndarray
        To what.
    labels : ndarray of shape (n,), optional
        Their classes.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(rows, labels)
    if model.stopped_ == "interrupted":
        raise KeyboardInterrupt
    found = []
    for item in caught:
        if issubclass(item.category, (NotBetterThanBaselineWarning, PosteriorCollapseWarning)):
            found.append(str(item.message))
        else:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
    return "; ".join(found) or None
