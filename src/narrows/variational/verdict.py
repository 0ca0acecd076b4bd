"""What a fit must say of itself: that a trivial model is as good, or that its code is hardly used."""

from __future__ import annotations

import warnings
from typing import Any

from narrows.errors import NotBetterThanBaselineWarning, PosteriorCollapseWarning

__all__ = ["warn_of"]


def warn_of(measured: dict[str, Any], active: int, size: int, warmup: float) -> None:
    """Warn where held-out rows are no better described than by independent features, or most of the code is unused.

    Parameters
    ----------
    measured : dict
        The baselines of a fit.
    active, size : int
        Numbers of the code that are used, and all.
    warmup : float
        The share of the training over which the KL was warmed up.
    """
    costs = measured["bits_per_feature"]
    where = "held-out rows" if measured["held_out"] else "the training rows themselves"
    if costs["model"] > costs["independent"]:
        warnings.warn(
            f"a model of independent features describes {where} better than this one: {costs['independent']:.4g} "
            f"bits a value against {costs['model']:.4g}; more rows, another network or a longer fit might change that",
            NotBetterThanBaselineWarning,
            stacklevel=3,
        )
    if 2 * active < size:
        longer = "a longer kl_warmup, a" if warmup < 0.5 else "a"
        warnings.warn(
            f"only {active} of the code's {size} numbers are used, the others say nothing of a row: with "
            f"n_components={max(1, active)} the model would be as good, or {longer} beta below 1 or free_bits keep "
            "more in use",
            PosteriorCollapseWarning,
            stacklevel=3,
        )
