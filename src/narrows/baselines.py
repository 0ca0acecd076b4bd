"""The trivial answers a reconstruction is held against: the mean row, and PCA with a code of the same size."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from narrows.errors import NotBetterThanBaselineWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from narrows.networks.base import Start
    from narrows.networks.scaling import Standardise
    from narrows.training.rows import Rows

__all__ = ["compare", "simple_errors", "squared_errors", "surely_better", "warn_if_not_better"]

BLOCK_ROWS = 1024

CLEARLY = 0.99
"""A model must be at least one per cent better to be worth its complexity."""


def simple_errors(rows: Rows, standardise: Standardise, start: Start) -> dict[str, Tensor]:
    """Measure what the mean row and PCA leave unexplained of each row.

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
    dict of str to Tensor of float64, shape (n_rows,)
        "mean" and "pca": squared errors summed over the observed values, in scaled units; "values": how many.
    """
    components, center = start.components.float(), start.center.float()
    found: dict[str, list[Tensor]] = {"mean": [], "pca": [], "values": []}
    for block in rows.blocks(BLOCK_ROWS):
        z = standardise(block) - center
        observed = ~torch.isnan(block) if block.is_floating_point() else torch.ones_like(z, dtype=torch.bool)
        rebuilt = (z @ components) @ components.T
        found["values"].append(observed.sum(1, dtype=torch.float64))
        found["mean"].append((z.square() * observed).sum(1, dtype=torch.float64))
        found["pca"].append(((z - rebuilt).square() * observed).sum(1, dtype=torch.float64))
    return {name: torch.cat(parts) for name, parts in found.items()}


def squared_errors(rows: Rows, rebuild: Callable[[Tensor], Tensor], unit: Tensor) -> Tensor:
    """Measure a model's squared error on each row, summed over the observed values, in scaled units.

    Parameters
    ----------
    rows : Rows
        Rows the model was not fitted to.
    rebuild : callable
        From rows to their reconstruction, both in the data's units.
    unit : Tensor
        What errors are divided by.
    """
    found = []
    with torch.no_grad():
        for block in rows.blocks(BLOCK_ROWS):
            error = (rebuild(block).double() - block.double()) / unit
            found.append(torch.nan_to_num(error).square().sum(1))
    return torch.cat(found)


def compare(errors: dict[str, Tensor], *, held_out: bool) -> dict[str, Any]:
    """Put row errors together into what an estimator keeps as ``baselines_``.

    Parameters
    ----------
    errors : dict of str to Tensor
        Of "model", "mean" and "pca", in the unit they are told in, and "values", as above.
    held_out : bool
        Whether the rows were held out.
    """
    values = max(1.0, float(errors["values"].sum()))
    means = {name: float(errors[name].sum()) / values for name in ("model", "mean", "pca")}
    return {**means, "held_out": held_out, "rows": len(errors["values"])}


def surely_better(first: Tensor, second: Tensor) -> bool:
    """Say whether the first row losses are lower than the second by more than two standard errors of the mean."""
    gain = (second - first).double()
    if len(gain) < 2:
        return False
    return float(gain.mean()) > 2 * float(gain.std()) / len(gain) ** 0.5


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
        simple, error = "the mean row", mean
    elif model > CLEARLY * pca:
        simple, error = f"PCA with {n_components} component{'s' * (n_components != 1)}", pca
    else:
        return
    how = "as well as" if error > CLEARLY * model else "better than"
    text = f"{simple} rebuilds {where} {how} the model does: squared error {error:.4g} against {model:.4g}"
    advice = "the model has kept to PCA" if stayed else "more rows, another network or a longer fit might change that"
    warnings.warn(f"{text}; {advice}", NotBetterThanBaselineWarning, stacklevel=4)
