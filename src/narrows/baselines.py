"""The trivial answers a reconstruction is held against: the mean row, and PCA with a code of the same size."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from narrows.errors import NotBetterThanBaselineWarning

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.networks.base import Start
    from narrows.networks.scaling import Standardise
    from narrows.training.rows import Rows

__all__ = ["simple_errors", "warn_if_not_better"]

BLOCK_ROWS = 1024

CLEARLY = 0.99
"""A model must be at least one per cent better to be worth its complexity."""


def simple_errors(rows: Rows, standardise: Standardise, start: Start) -> dict[str, float]:
    """Measure what the mean row and PCA leave unexplained.

    Parameters
    ----------
    rows : Rows
        Rows the baselines were not fitted to.
    standardise : Standardise
        The scaling in whose units errors are counted.
    start : Start
        The mean and the components, fitted to the training rows.

    Returns
    -------
    dict with "mean" and "pca"
        Mean squared error per value, in scaled units; missing values do not count.
    """
    components, center = start.components.float(), start.center.float()
    totals = {"mean": 0.0, "pca": 0.0}
    values = 0.0
    for block in _blocks(rows):
        z = standardise(block) - center
        observed = ~torch.isnan(block) if block.is_floating_point() else torch.ones_like(z, dtype=torch.bool)
        rebuilt = (z @ components) @ components.T
        values += float(observed.sum())
        totals["mean"] += float((z.square() * observed).sum(dtype=torch.float64))
        totals["pca"] += float(((z - rebuilt).square() * observed).sum(dtype=torch.float64))
    return {name: total / max(values, 1.0) for name, total in totals.items()}


def _blocks(rows: Rows) -> Any:
    return rows.blocks(BLOCK_ROWS)


def squared_error(rows: Rows, rebuild: Any, unit: Tensor) -> float:
    """Measure a model's mean squared error per observed value, in scaled units.

    Parameters
    ----------
    rows : Rows
        Rows the model was not fitted to.
    rebuild : callable
        From rows to their reconstruction, both in the data's units.
    unit : Tensor
        What errors are divided by.
    """
    total = values = 0.0
    with torch.no_grad():
        for block in _blocks(rows):
            error = (rebuild(block).double() - block.double()) / unit
            observed = ~torch.isnan(error)
            total += float(error[observed].square().sum())
            values += float(observed.sum())
    return total / max(values, 1.0)


def warn_if_not_better(measured: dict[str, Any], n_components: int, *, stayed: bool) -> None:
    """Warn when a model is not clearly better than the mean row and PCA.

    Parameters
    ----------
    measured : dict
        With "model", "mean" and "pca": mean squared errors on the same rows; and "held_out".
    n_components : int
        Size of the code.
    stayed : bool
        Whether the fit kept to the linear start because held-out rows said so.
    """
    model, mean, pca = measured["model"], measured["mean"], measured["pca"]
    # Where a code is as wide as the data, nothing is left to compare.
    nothing = 1e-9 * mean
    if mean <= 0 or max(pca, model) <= nothing:
        return
    where = "held-out rows" if measured["held_out"] else "the training rows themselves"
    if model > CLEARLY * mean:
        text = f"the mean row rebuilds {where} as well as the model does: squared error {mean:.4g} against {model:.4g}"
    elif model > CLEARLY * pca:
        text = (
            f"PCA with {n_components} component{'s' * (n_components != 1)} rebuilds {where} as well as the model does: "
            f"squared error {pca:.4g} against {model:.4g}"
        )
    else:
        return
    advice = "the model has kept to PCA" if stayed else "more rows, another network or a longer fit might change that"
    warnings.warn(f"{text}; {advice}", NotBetterThanBaselineWarning, stacklevel=4)
