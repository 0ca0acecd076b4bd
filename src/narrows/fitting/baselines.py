"""The trivial answers that a model is held against, on the same rows.

Of reconstructions: the mean row, PCA with as many components, and where rows are corrupted these as
they stand. Of densities: independent features, and probabilistic PCA.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from narrows.errors import NotBetterThanBaselineWarning, PosteriorCollapseWarning
from narrows.likelihoods import BernoulliOutput, DiscretisedLogisticOutput, MixedOutput, NormalOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from narrows.data.moments import Moments
    from narrows.data.rows import Rows
    from narrows.likelihoods import OutputDistribution, Standardise
    from narrows.networks import LinearInit
    from narrows.networks.model import EncoderDecoder

    Blocks = Iterable[tuple[Tensor, Tensor]]

__all__ = [
    "independent_nll",
    "ppca_nll",
    "significantly_better",
    "simple_errors",
    "size_errors",
    "squared_errors",
    "summarise_errors",
    "warn_of_density",
    "warn_of_reconstruction",
]

CLEARLY = 0.99
"""A model must be at least one per cent better to be worth its complexity."""

BLOCK = 1024
MAX_PPCA_COLUMNS = 2000


def simple_errors(blocks: Blocks, standardise: Standardise, start: LinearInit) -> dict[str, Tensor]:
    """Measure what the mean row and PCA leave unexplained of each row."""
    components, center = start.components.float(), start.center.float()
    found: dict[str, list[Tensor]] = {}

    def add(name: str, values: Tensor) -> None:
        found.setdefault(name, []).append(values.sum(1, dtype=torch.float64))

    for clean, corrupted in blocks:
        z = standardise(clean) - center
        observed = _observed(clean)
        seen = z if corrupted is clean else standardise(corrupted) - center
        rebuilt = (seen @ components) @ components.T
        add("values", observed)
        add("mean", z.square() * observed)
        add("pca", (z - rebuilt).square() * observed)
        if corrupted is not clean:
            add("input", (z - seen).square() * observed)
    return {name: torch.cat(parts) for name, parts in found.items()}


def _observed(clean: Tensor) -> Tensor:
    return ~torch.isnan(clean) if clean.is_floating_point() else torch.ones_like(clean, dtype=torch.bool)


def squared_errors(blocks: Blocks, reconstruct: Callable[[Tensor], Tensor], unit: Tensor) -> Tensor:
    """Measure a model's squared error on each row, summed over the observed values, its root in ``unit``."""
    found = []
    with torch.no_grad():
        for clean, corrupted in blocks:
            error = (reconstruct(corrupted).double() - clean.double()) / unit
            found.append(torch.nan_to_num(error).square().sum(1))
    return torch.cat(found)


def size_errors(blocks: Blocks, model: EncoderDecoder, start: LinearInit) -> dict[str, Tensor]:
    """Measure an ordered model, and PCA, with the first few numbers of their codes: "model:2", "pca:2" and so on."""
    standardise = model.standardise
    components, center = start.components.float(), start.center.float()
    found: dict[str, list[Tensor]] = {}
    with torch.no_grad():
        for clean, corrupted in blocks:
            z, seen = standardise(clean), standardise(corrupted)
            observed = _observed(clean)
            code = model.encoder[1](seen)
            for size in model.decoder[1].sizes:  # type: ignore[union-attr]
                leading = components[:, :size]
                rebuilt = {
                    "model": standardise(model.head.mean(model.decoder[1](code[:, :size]))),
                    "pca": (seen - center) @ leading @ leading.T + center,
                }
                for name, values in rebuilt.items():
                    error = ((values - z).square() * observed).sum(1, dtype=torch.float64)
                    found.setdefault(f"{name}:{size}", []).append(error)
    return {name: torch.cat(parts) for name, parts in found.items()}


def summarise_errors(errors: dict[str, Tensor], *, held_out: bool) -> dict[str, Any]:
    """Put squared errors of rows together into what an estimator keeps as ``baselines_``."""
    values = max(1.0, float(errors["values"].sum()))
    reported = ("model", "mean", "pca", "input", "autoencoder")
    means: dict[str, Any] = {name: float(errors[name].sum()) / values for name in reported if name in errors}
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


def independent_nll(train: Rows, held_out: Rows, head: OutputDistribution, moments: Moments) -> float:
    """Return the mean cost of held-out rows, in nats, under a model whose features are independent.

    Of the same kind as the head: a probability for each binary column, a normal density for each column, or a
    histogram of whole numbers; ``moments`` are those of the training rows.
    """
    if isinstance(head, DiscretisedLogisticOutput):
        table = _histogram(train, head)
    total = 0.0
    for block in held_out.blocks(BLOCK):
        x = block.double()
        if isinstance(head, BernoulliOutput):
            # One more of each, so that nothing is impossible (Laplace).
            probability = (moments.mean * moments.count / head.top.double() + 1) / (moments.count + 2)
            target = torch.nan_to_num(x) / head.top.double()
            logits = torch.logit(probability).expand_as(x)
            cost = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        elif isinstance(head, DiscretisedLogisticOutput):
            cost = _looked_up(table, x, head)
        else:
            assert isinstance(head, NormalOutput)
            variance = moments.variance + (head.floor.double() * head.standardise.scale64.square())
            cost = (x - moments.mean).square() / (2 * variance) + (2 * math.pi * variance).log() / 2
            if isinstance(head, MixedOutput):
                # One more row of each category.
                seen = (moments.mean * moments.count)[head.n_numbers :].split(head.levels)
                probabilities = torch.cat([(part + 1) / (part + 1).sum() for part in seen])
                cost[:, head.n_numbers :] = -x[:, head.n_numbers :] * probabilities.log()
        total += float(torch.nan_to_num(cost * ~torch.isnan(x)).sum())
    return total / held_out.n_rows


def _histogram(train: Rows, head: DiscretisedLogisticOutput) -> np.ndarray:
    low, high = int(head.low), int(head.high)
    table = np.ones((train.n_features, high - low + 1))
    columns = np.arange(train.n_features)
    for block in train.blocks(BLOCK):
        values = block.numpy().astype(np.int64) - low
        np.add.at(table, (np.broadcast_to(columns, values.shape), values), 1.0)
    return -np.log(table / table.sum(1, keepdims=True))


def _looked_up(table: np.ndarray, x: Tensor, head: DiscretisedLogisticOutput) -> Tensor:
    low, high = int(head.low), int(head.high)
    values = x.numpy().astype(np.int64).clip(low, high) - low
    return torch.from_numpy(table[np.arange(table.shape[0]), values])


def ppca_nll(held_out: Rows, head: OutputDistribution, start: LinearInit) -> float | None:
    """Return the mean cost of held-out rows, in nats, under probabilistic PCA with a code of the same size.

    Tipping and Bishop 1999, *Probabilistic principal component analysis*; the noise of each column is what its
    components leave of it, not less than the head's floor. None where the head has no normal noise.
    """
    if not isinstance(head, NormalOutput) or isinstance(head, MixedOutput) or start.n_features > MAX_PPCA_COLUMNS:
        return None
    floor = head.floor.double()
    components, variances = start.components, start.component_std.square()
    left = start.std.square() - (components.square() * variances).sum(1)
    noise = torch.maximum(left, floor)
    rest = float(left.clamp_min(0).mean())
    slopes = components * (variances - rest).clamp_min(0).sqrt()
    covariance = slopes @ slopes.T + torch.diag(noise)
    factor = torch.linalg.cholesky(covariance)
    standardise = head.standardise
    constant = factor.diagonal().log().sum() + len(floor) * math.log(2 * math.pi) / 2
    constant += standardise.scale64.log().expand(len(floor)).sum()
    total = 0.0
    for block in held_out.blocks(BLOCK):
        z = (block.double() - standardise.shift64) / standardise.scale64 - start.center
        if torch.isnan(z).any():
            return None
        whitened = torch.linalg.solve_triangular(factor, z.T, upper=False)
        total += float(whitened.square().sum() / 2 + constant * len(z))
    return total / held_out.n_rows


def warn_of_reconstruction(measured: dict[str, Any], n_components: int, *, stayed: bool) -> None:
    """Warn when a model is not clearly better than the mean row, PCA and, where it is noisy, the input itself."""
    model, mean, pca = measured["model"], measured["mean"], measured["pca"]
    # Where a code is as wide as the data, nothing is left to compare.
    nothing = 1e-9 * mean
    if mean <= 0 or max(pca, model) <= nothing:
        return
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
    text = f"{simple} rebuilds {_where(measured)} {how} the model does: squared error {error:.4g} against {model:.4g}"
    advice = "the model has kept to PCA" if stayed else "more rows, another network or a longer fit might change that"
    warnings.warn(f"{text}; {advice}", NotBetterThanBaselineWarning, stacklevel=4)


def warn_of_density(measured: dict[str, Any], n_active: int, n_components: int, warmup: float) -> None:
    """Warn where rows are no better described than by independent features, or most of the code is unused."""
    costs = measured["bits_per_feature"]
    if costs["model"] > costs["independent"]:
        warnings.warn(
            f"a model of independent features describes {_where(measured)} better than this one: "
            f"{costs['independent']:.4g} bits a value against {costs['model']:.4g}; more rows, another network or a "
            "longer fit might change that",
            NotBetterThanBaselineWarning,
            stacklevel=4,
        )
    if 2 * n_active < n_components:
        longer = "a longer kl_warmup, a" if warmup < 0.5 else "a"
        warnings.warn(
            f"only {n_active} of the code's {n_components} numbers are used, the others say nothing of a row: with "
            f"n_components={max(1, n_active)} the model would be as good, or {longer} beta below 1 or free_bits keep "
            "more in use",
            PosteriorCollapseWarning,
            stacklevel=4,
        )


def _where(measured: dict[str, Any]) -> str:
    return "held-out rows" if measured["held_out"] else "the training rows themselves"
