"""From an estimator's parameters to settings.

Here every parameter is checked, once, with a sentence that says what it may be.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.corruption import Corruption
from narrows.data.rows import Pair
from narrows.errors import DataError
from narrows.fitting.build import FitConfig
from narrows.fitting.defaults import TrainingOptions
from narrows.likelihoods import Gaussian, Likelihood
from narrows.networks import Convolutional, Dense, Modules, Network
from narrows.training.checkpoint import CheckpointFile
from narrows.training.optimisers import Adam, Muon, Optimizer
from narrows.training.schedules import Schedule, Trapezoid
from narrows.validation import check_number, resolve_device, resolve_seed

if TYPE_CHECKING:
    from narrows.autoencoder import Autoencoder
    from narrows.data.rows import Rows
    from narrows.training.loop import TrainConfig

_COUNTS = {"n_components": 1, "batch_size": 1, "max_epochs": 1, "patience": 1}


def check_options(estimator: Autoencoder) -> None:
    """Refuse parameters that make no sense, each with one sentence."""
    for name, least in _COUNTS.items():
        check_number(name, getattr(estimator, name), integer=True, low=least, auto=True)
    check_number("learning_rate", estimator.learning_rate, low=0, open_low=True, auto=True)
    check_number("validation_fraction", estimator.validation_fraction, low=0, high=1, auto=True)
    check_number("max_seconds", estimator.max_seconds, low=0, open_low=True, none=True)
    check_number("checkpoint_seconds", estimator.checkpoint_seconds, low=0)
    for name, choices in estimator._choices.items():
        value = getattr(estimator, name)
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    if not all(callable(callback) for callback in estimator.callbacks):
        raise TypeError(f"callbacks must be functions of one record, got {estimator.callbacks!r}")


def network_option(value: Any) -> Network:
    """Turn the ``network`` parameter into an option value; a pair of modules becomes :class:`Modules`."""
    if isinstance(value, tuple) and len(value) == 2:
        return Modules(*value)
    return Network.resolve(value)


def resolve_network(estimator: Autoencoder, shape: tuple[int, ...] | None = None) -> Network:
    """Return the network of an estimator, which ``"auto"`` leaves to whether its rows are images of a known shape."""
    if estimator._network_by_shape and isinstance(estimator.network, str) and estimator.network == "auto":
        known = shape if shape is not None else getattr(estimator, "image_shape_", None)
        return Dense() if known is None else Convolutional(blocks=1)
    return network_option(estimator.network)


def settings(estimator: Autoencoder, n_features: int, shape: tuple[int, int, int] | None = None) -> FitConfig:
    """Resolve all parameters for data with this many columns, which may be images of this shape."""
    network = resolve_network(estimator, shape)
    if network.of_images and estimator.scaling == "standard":
        raise ValueError("scaling='standard' is for columns of different units: images are scaled as a whole")
    ordered = bool(getattr(estimator, "ordered", False))
    if ordered and not network.has_code:
        raise ValueError("ordered=True needs a network with a code, which one with skips does not have")
    return FitConfig(
        n_components=_number(estimator.n_components) or min(32, -(-n_features // 2)),
        network=network,
        likelihood=_likelihood(estimator.likelihood),
        corrupt=_corrupt(estimator.corruption),
        missing=estimator.missing == "mask",
        scaling=estimator.scaling,
        budget=TrainingOptions(
            optimizer=_optimizer(estimator.optimizer, muon=network.of_images),
            schedule=Trapezoid() if estimator.schedule == "auto" else Schedule.resolve(estimator.schedule),
            learning_rate=_number(estimator.learning_rate),
            batch_size=_number(estimator.batch_size),
            max_epochs=_number(estimator.max_epochs),
            patience=_number(estimator.patience),
            max_seconds=estimator.max_seconds,
        ),
        validation_fraction=_number(estimator.validation_fraction),
        early_stopping=bool(estimator.early_stopping),
        device=resolve_device(estimator.device),
        seed=resolve_seed(estimator.random_state),
        names=[str(name) for name in getattr(estimator, "feature_names_in_", [])] or None,
        image_shape=shape,
        ordered=ordered,
    )


def _likelihood(value: Any) -> Likelihood:
    return Gaussian() if isinstance(value, str) and value == "auto" else Likelihood.resolve(value)


def _optimizer(value: Any, *, muon: bool) -> Optimizer:
    if value == "auto":
        return Muon() if muon else Adam()
    return Optimizer.resolve(value)


def image_shape(estimator: Autoencoder, n_features: int, row_shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Return height, width and channels of the images that rows are, None where they are no images.

    Raises
    ------
    DataError, ValueError
        If the shape given is none, does not fit the rows, or is not given although the network needs it.
    """
    shape: Any = estimator.image_shape
    if shape is None and len(row_shape) > 1:
        shape = row_shape
    if shape is None:
        network = resolve_network(estimator)
        if not network.of_images:
            return None
        side = math.isqrt(n_features)
        guess = f", such as image_shape=({side}, {side})" if side * side == n_features else ""
        raise DataError(
            f"{type(network).__name__} needs to know the shape of the images that rows of {n_features} values are: "
            f"give image_shape{guess}, or an array (n, height, width) or (n, height, width, channels)"
        )
    sizes: tuple[Any, ...] = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if len(sizes) not in (2, 3) or not all(isinstance(size, (int, np.integer)) and size > 0 for size in sizes):
        raise ValueError(f"image_shape must be (height, width) or (height, width, channels), got {shape!r}")
    if math.prod(sizes) != n_features:
        raise DataError(f"rows of {n_features} values are not images of shape {tuple(sizes)}")
    height, width, *channels = (int(size) for size in sizes)
    return height, width, channels[0] if channels else 1


def _number(value: Any) -> Any:
    return None if isinstance(value, str) else value


def _corrupt(value: Any) -> Any:
    if value is None or callable(value):
        return value
    return Corruption.resolve(value).apply


def checkpoint_file(estimator: Autoencoder, rows: Rows, chosen: FitConfig) -> CheckpointFile | None:
    """Open the checkpoint of this fit, if it has one."""
    if estimator.checkpoint is None:
        return None
    skip = {"checkpoint", "checkpoint_seconds", "verbose", "callbacks", "random_state"}
    options = {name: repr(value) for name, value in estimator.get_params(deep=False).items() if name not in skip}
    first = next(iter(rows.blocks(64)))
    digest = hashlib.sha256(json.dumps([options, chosen.seed, rows.n_rows, rows.n_features], sort_keys=True).encode())
    for part in (first.rows, first.beside) if isinstance(first, Pair) else (first,):
        digest.update(part.double().numpy().tobytes())
    return CheckpointFile(os.fspath(estimator.checkpoint), estimator.checkpoint_seconds, digest.hexdigest())


def plan_record(plan: TrainConfig) -> dict[str, Any]:
    """Return a plan as plain values."""
    return {
        "optimizer": plan.optimizer.to_json(),
        "schedule": plan.schedule.to_json(),
        "learning_rate": plan.learning_rate,
        "batch_size": plan.batch_size,
        "steps": plan.steps,
    }


def check_code(estimator: Autoencoder, what: str) -> None:
    """Refuse what needs a code where the network has none."""
    if not resolve_network(estimator).has_code:
        raise DataError(
            f"{what} needs a code, and a network with skips has none that is narrow: use reconstruct or denoise, "
            "or fit a network without skips"
        )
