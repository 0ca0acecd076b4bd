"""What losses and errors on held-out rows say: where to stop, whether to leave PCA at all, and how a model compares."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from narrows.errors import NotBetterThanBaselineWarning, PosteriorCollapseWarning
from narrows.fitting.objectives import Objective
from narrows.fitting.settings import FitConfig
from narrows.likelihoods import Gaussian
from narrows.training.loop import TrainResult

_NO_LOSSES = ("step", "epoch", "seconds", "learning_rate", "active_components")

CLEARLY = 0.99
"""A model must be at least one per cent better to be worth its complexity."""


def significantly_better(first: Tensor, second: Tensor) -> bool:
    """Say whether the first row losses are lower than the second by more than two standard errors of the mean."""
    gain = (second - first).double()
    if len(gain) < 2:
        return False
    return float(gain.mean()) > 2 * float(gain.std()) / len(gain) ** 0.5


@dataclass(frozen=True)
class Choice:
    """At which evaluation, after how many steps, the weights are taken; or that the linear start is kept."""

    best: int
    steps: int
    stayed: bool


def choose(results: list[TrainResult], config: FitConfig, *, untrained: bool) -> Choice:
    """Find the evaluation at which to stop, and whether to keep to the linear start instead."""
    first = results[0]
    if not first.evaluated:
        return Choice(0, first.step, stayed=untrained)
    length = min(len(result.held_out) for result in results)
    losses = torch.stack([torch.cat([result.held_out[i] for result in results]) for i in range(length)])
    if not config.early_stopping:
        return Choice(length - 1, first.step, stayed=False)
    best = int(losses.double().mean(1).argmin())
    if config.network.starts_linear and (best == 0 or not significantly_better(losses[best], losses[0])):
        return Choice(0, 0, stayed=True)
    return Choice(best, first.evaluated[best], stayed=False)


def without_doubtful_bounds(config: FitConfig, errors: dict[str, Tensor]) -> FitConfig:
    """Leave out guessed bounds where held-out rows cannot tell that they help: then the start is exactly PCA."""
    if config.likelihood == Gaussian() and not significantly_better(errors["model"], errors["pca"]):
        return replace(config, likelihood=Gaussian(bounds="none"))
    return config


def join_histories(histories: list[list[dict[str, Any]]], objective: Objective) -> list[dict[str, Any]]:
    """Average the records of several folds, in the unit that they are reported in."""
    joint = histories[0]
    if len(histories) > 1:
        joint = [
            {key: float(np.mean([record[key] for record in records])) for key in records[0]}
            | {"step": records[0]["step"]}
            for records in zip(*histories, strict=False)
        ]
    return [objective.complete(record) for record in joint]


def scale_losses(record: dict[str, Any], unit: float) -> dict[str, Any]:
    """Bring the losses of a history record to another unit."""
    return {key: value if key in _NO_LOSSES else value * unit for key, value in record.items()}


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
