"""The trivial answers a reconstruction is held against: the mean row, and PCA with a code of the same size.

Where the model is shown corrupted rows, so is PCA, and there is a third answer: what was shown, left as it is.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from narrows.errors import NotBetterThanBaselineWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from narrows.networks.base import LinearInit
    from narrows.networks.layers import Standardise
    from narrows.networks.model import EncoderDecoder

    Blocks = Iterable[tuple[Tensor, Tensor]]

__all__ = ["compare", "significantly_better", "simple_errors", "size_errors", "squared_errors", "warn_if_not_better"]

CLEARLY = 0.99
"""A model must be at least one per cent better to be worth its complexity."""


def simple_errors(blocks: Blocks, standardise: Standardise, start: LinearInit) -> dict[str, Tensor]:
    """Measure what the mean row and PCA leave unexplained of each row.

    Parameters
    ----------
    blocks : iterable of (clean, seen)
        Rows the baselines were not fitted to, and what the model is shown of them.
    standardise : Standardise
        The scaling in whose units errors are counted.
    start : LinearInit
        The mean and the components, fitted to the training rows.

    Returns
    -------
    dict of str to Tensor of float64, shape (n_rows,)
        "mean" and "pca", and "input" where what is seen is not the clean row: squared errors summed over the
        observed values, in scaled units; "values": how many.
    """
    components, center = start.components.float(), start.center.float()
    found: dict[str, list[Tensor]] = {}

    def add(name: str, values: Tensor) -> None:
        found.setdefault(name, []).append(values.sum(1, dtype=torch.float64))

    for clean, seen in blocks:
        z = standardise(clean) - center
        observed = ~torch.isnan(clean) if clean.is_floating_point() else torch.ones_like(z, dtype=torch.bool)
        shown = z if seen is clean else standardise(seen) - center
        rebuilt = (shown @ components) @ components.T
        add("values", observed)
        add("mean", z.square() * observed)
        add("pca", (z - rebuilt).square() * observed)
        if seen is not clean:
            add("input", (z - shown).square() * observed)
    return {name: torch.cat(parts) for name, parts in found.items()}


def squared_errors(blocks: Blocks, rebuild: Callable[[Tensor], Tensor], unit: Tensor) -> Tensor:
    """Measure a model's squared error on each row, summed over the observed values, in scaled units.

    Parameters
    ----------
    blocks : iterable of (clean, seen)
        Rows the model was not fitted to, and what it is shown of them.
    rebuild : callable
        From what is shown to a reconstruction, both in the data's units.
    unit : Tensor
        What errors are divided by.
    """
    found = []
    with torch.no_grad():
        for clean, seen in blocks:
            error = (rebuild(seen).double() - clean.double()) / unit
            found.append(torch.nan_to_num(error).square().sum(1))
    return torch.cat(found)


def size_errors(blocks: Blocks, model: EncoderDecoder, start: LinearInit) -> dict[str, Tensor]:
    """Measure an ordered model, and PCA, with the first few numbers of their codes.

    Parameters
    ----------
    blocks : iterable of (clean, seen)
        Rows they were not fitted to, and what they are shown of them.
    model : EncoderDecoder
        With an :class:`~narrows.networks.ordered.OrderedDecoder`.
    start : LinearInit
        The mean and the components.

    Returns
    -------
    dict of str to Tensor of float64, shape (n_rows,)
        "model:2", "pca:2" and so on: squared errors in scaled units.
    """
    standardise = model.standardise
    components, center = start.components.float(), start.center.float()
    found: dict[str, list[Tensor]] = {}
    with torch.no_grad():
        for clean, seen in blocks:
            z, shown = standardise(clean), standardise(seen)
            observed = ~torch.isnan(clean) if clean.is_floating_point() else torch.ones_like(z, dtype=torch.bool)
            code = model.encoder[1](shown)
            for size in model.decoder[1].sizes:  # type: ignore[union-attr]
                leading = components[:, :size]
                rebuilt = {
                    "model": standardise(model.head.mean(model.decoder[1](code[:, :size]))),
                    "pca": (shown - center) @ leading @ leading.T + center,
                }
                for name, values in rebuilt.items():
                    error = ((values - z).square() * observed).sum(1, dtype=torch.float64)
                    found.setdefault(f"{name}:{size}", []).append(error)
    return {name: torch.cat(parts) for name, parts in found.items()}


def compare(errors: dict[str, Tensor], *, held_out: bool) -> dict[str, Any]:
    """Put row errors together into what an estimator keeps as ``baselines_``.

    Parameters
    ----------
    errors : dict of str to Tensor
        Of "model", "mean" and "pca" (and "input", and of a plain "autoencoder"), in the unit they are told in, and
        "values", as above.
    held_out : bool
        Whether the rows were held out.
    """
    values = max(1.0, float(errors["values"].sum()))
    told = ("model", "mean", "pca", "input", "autoencoder")
    means: dict[str, Any] = {name: float(errors[name].sum()) / values for name in told if name in errors}
    sizes = [int(name.partition(":")[2]) for name in errors if name.startswith("model:")]
    if sizes:
        means["sizes"] = [
            {"n_components": size, **{key: float(errors[f"{key}:{size}"].sum()) / values for key in ("model", "pca")}}
            for size in sizes
        ]
    return {**means, "held_out": held_out, "rows": len(errors["values"])}


def significantly_better(first: Tensor, second: Tensor) -> bool:
    """Say whether the first row losses are lower than the second by more than two standard errors of the mean."""
    gain = (second - first).double()
    if len(gain) < 2:
        return False
    return float(gain.mean()) > 2 * float(gain.std()) / len(gain) ** 0.5


def warn_if_not_better(measured: dict[str, Any], n_components: int, *, stayed: bool) -> None:
    """Warn when a model is not clearly better than the mean row, PCA and, where it is noisy, the input itself.

    Parameters
    ----------
    measured : dict
        With "model", "mean" and "pca", and perhaps "input": mean squared errors on the same rows; and "held_out".
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
    untouched = measured.get("input", float("inf"))
    if model > CLEARLY * mean:
        simple, error = "the mean row", mean
    elif model > CLEARLY * untouched:
        simple, error = "the noisy input as it stands", untouched
    elif model > CLEARLY * pca:
        simple, error = f"PCA with {n_components} component{'s' * (n_components != 1)}", pca
    else:
        return
    how = "as well as" if error > CLEARLY * model else "better than"
    text = f"{simple} rebuilds {where} {how} the model does: squared error {error:.4g} against {model:.4g}"
    advice = "the model has kept to PCA" if stayed else "more rows, another network or a longer fit might change that"
    warnings.warn(f"{text}; {advice}", NotBetterThanBaselineWarning, stacklevel=4)
