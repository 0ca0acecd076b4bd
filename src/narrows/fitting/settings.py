"""From an estimator's parameters to the configuration of a fit.

Here every parameter is checked, once, with a sentence that says what it may be.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from narrows.corruption import Corruption
from narrows.data.rows import Pair
from narrows.errors import DataError
from narrows.fitting.config import AUTO, FitConfig, TrainingOptions
from narrows.likelihoods import Likelihood
from narrows.networks import Convolutional, Dense, Modules, Network
from narrows.training.checkpoint import CheckpointFile
from narrows.training.optimisers import Adam, Muon, Optimizer
from narrows.training.schedules import Schedule, Trapezoid
from narrows.validation import check_number, resolve_device, resolve_seed

if TYPE_CHECKING:
    from narrows.data.rows import Rows
    from narrows.fitting.config import Objective
    from narrows.training.loop import TrainConfig

__all__ = [
    "check_options",
    "describe_training",
    "network_option",
    "open_checkpoint",
    "resolve_config",
    "resolve_corruption",
    "resolve_image_shape",
    "resolve_network",
]

MAX_COLUMNS = 500_000
"""Beyond, the first layer alone takes gigabytes."""

_NOT_OF_THE_FIT = ("checkpoint", "checkpoint_seconds", "verbose", "callbacks", "random_state")


class Parameters(Protocol):
    """An autoencoder with its constructor's parameters; those that all have are checked and resolved here."""

    _choices: dict[str, tuple[str, ...]]
    _network_by_shape: bool

    def __getattr__(self, name: str) -> Any: ...


def check_options(estimator: Parameters) -> None:
    """Refuse parameters that make no sense, each with one sentence."""
    for name in ("n_components", "batch_size", "max_epochs", "patience"):
        check_number(name, getattr(estimator, name), integer=True, low=1, auto=True)
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


def resolve_network(estimator: Parameters, shape: tuple[int, ...] | None = None) -> Network:
    """Return the network of an estimator, which ``"auto"`` leaves to whether its rows are images of a known shape."""
    if estimator._network_by_shape and isinstance(estimator.network, str) and estimator.network == "auto":
        known = shape if shape is not None else getattr(estimator, "image_shape_", None)
        return Dense() if known is None else Convolutional(blocks=1)
    return network_option(estimator.network)


def resolve_config(
    estimator: Parameters,
    n_features: int,
    objective: Objective,
    *,
    names: list[str] | None,
    shape: tuple[int, int, int] | None = None,
    levels: tuple[int, ...] = (),
) -> FitConfig:
    """Resolve all parameters for data with this many columns, which may be images of this shape."""
    network = resolve_network(estimator, shape)
    if network.of_images and estimator.scaling == "standard":
        raise ValueError("scaling='standard' is for columns of different units: images are scaled as a whole")
    if objective.ordered and not network.has_code:
        raise ValueError("ordered=True needs a network with a code, which one with skips does not have")
    if n_features > MAX_COLUMNS:
        raise DataError(
            f"rows of {n_features:,} columns are too wide for a network that reads them all: keep the columns that "
            "tell most, or reduce them first, with scikit-learn's TruncatedSVD for example"
        )
    auto = isinstance(estimator.likelihood, str) and estimator.likelihood == "auto"
    return FitConfig(
        n_components=_number(estimator.n_components) or min(32, -(-n_features // 2)),
        network=network,
        likelihood=AUTO if auto else Likelihood.resolve(estimator.likelihood),
        objective=objective,
        missing=estimator.missing == "mask",
        scaling=estimator.scaling,
        training=TrainingOptions(
            optimizer=_optimizer(estimator.optimizer, muon=network.of_images),
            schedule=Trapezoid() if estimator.schedule == "auto" else Schedule.resolve(estimator.schedule),
            learning_rate=_number(estimator.learning_rate),
            batch_size=_number(estimator.batch_size),
            max_epochs=_number(estimator.max_epochs),
            patience=_number(estimator.patience),
            max_seconds=_number(estimator.max_seconds),
        ),
        validation_fraction=_number(estimator.validation_fraction),
        early_stopping=bool(estimator.early_stopping),
        device=resolve_device(estimator.device),
        seed=resolve_seed(estimator.random_state),
        names=names,
        image_shape=shape,
        levels=levels,
    )


def _optimizer(value: Any, *, muon: bool) -> Optimizer:
    if isinstance(value, str) and value == "auto":
        return Muon() if muon else Adam()
    return Optimizer.resolve(value)


def _number(value: Any) -> Any:
    """Return a plain number, None for "auto"."""
    if value is None or isinstance(value, str):
        return None
    return value.item() if isinstance(value, np.generic) else value


def resolve_corruption(value: Any) -> Any:
    """Turn the ``corruption`` parameter into a function of rows and a generator, or None."""
    if value is None or callable(value):
        return value
    return Corruption.resolve(value).apply


def resolve_image_shape(
    estimator: Parameters, n_features: int, row_shape: tuple[int, ...]
) -> tuple[int, int, int] | None:
    """Return height, width and channels of the images that rows are, None where they are no images."""
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


def open_checkpoint(estimator: Any, rows: Rows, config: FitConfig) -> CheckpointFile | None:
    """Open the checkpoint of this fit, if it has one: its fingerprint is of all options and all rows."""
    if estimator.checkpoint is None:
        return None
    parameters = estimator.get_params(deep=False)
    options = {name: repr(value) for name, value in parameters.items() if name not in _NOT_OF_THE_FIT}
    digest = hashlib.blake2b(json.dumps([options, config.seed, rows.n_rows, rows.n_features], sort_keys=True).encode())
    for block in rows.blocks(1024):
        for part in (block.rows, block.beside) if isinstance(block, Pair) else (block,):
            digest.update(str(part.dtype).encode())
            digest.update(np.ascontiguousarray(part.numpy()).data)
    return CheckpointFile(os.fspath(estimator.checkpoint), float(estimator.checkpoint_seconds), digest.hexdigest())


def describe_training(config: TrainConfig) -> dict[str, Any]:
    """Return how a model was trained as plain values."""
    return {
        "optimizer": config.optimizer.to_json(),
        "schedule": config.schedule.to_json(),
        "learning_rate": config.learning_rate,
        "batch_size": config.batch_size,
        "steps": config.steps,
    }
