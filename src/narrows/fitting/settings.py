"""From an estimator's parameters to the configuration of a fit, and the defaults that depend on the data.

Every parameter is checked here, once, with a sentence that says what it may be. The defaults were chosen on validation
splits of tables of 50 to 20,000 rows, and on MNIST; ``bench/`` has the scripts.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from narrows.corruption import Corruption
from narrows.errors import DataError
from narrows.fitting.objectives import Objective
from narrows.likelihoods import Likelihood
from narrows.networks import Convolutional, Dense, Modules, Network
from narrows.training.loop import TrainConfig
from narrows.training.optimisers import Adam, Muon, Optimizer
from narrows.training.schedules import Schedule, Trapezoid
from narrows.validation import check_number, resolve_device, resolve_seed

AUTO = Likelihood()
"""Stands for the likelihood that the data is still to decide."""

MAX_COLUMNS = 500_000
"""Beyond, the first layer alone takes gigabytes."""

FEW_ROWS = 500
"""Below this many rows one held-out tenth says too little: folds are used instead."""

VERY_FEW_ROWS = 150
"""Below this many rows the folds are five rather than three."""

REFIT_ROWS = 5000
"""Up to this many rows the held-out ones are worth a second fit on all rows."""

MAX_HELD_OUT = 10_000

EVALUATIONS = 25

MIN_STEPS = 300

FLOP_BUDGETS = {
    "dense": 2.5e12,
    "corrupted": 5e12,
    "ordered": 4.2e13,
    "convolutional": 1.5e13,
    "skips": 6e13,
    "variational": 3e13,
    "variational images": 1e14,
}
"""Limit on the arithmetic of a default fit.

On two cores well under a minute for a dense network, twice that where every pass brings new noise to learn from, and
five or six minutes for an ordered code, which stands for several fits. Convolutional networks, too, take minutes:
up to eight with skips. Variational ones learn for as long as there is something to learn: a dense one for about five
minutes on MNIST, a convolutional one for eight.
"""

MAX_STEPS = {
    "dense": 6000,
    "corrupted": 12_000,
    "ordered": 12_000,
    "convolutional": 6000,
    "skips": 20_000,
    "variational": 40_000,
    "variational images": 20_000,
}

MAX_BATCH = {
    "dense": 512,
    "corrupted": 512,
    "ordered": 256,
    "convolutional": 64,
    "skips": 64,
    "variational": 128,
    "variational images": 128,
}
"""Limit on the rows in a step: where a row takes much arithmetic, small batches cost nothing and learn more."""

_NOT_OF_THE_FIT = ("checkpoint", "checkpoint_seconds", "verbose", "callbacks", "random_state")


@dataclass(frozen=True)
class TrainingOptions:
    """What a user may set of the training; None leaves it to the defaults."""

    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float | None
    batch_size: int | None
    max_epochs: int | None
    patience: int | None
    max_seconds: float | None


@dataclass(frozen=True)
class FitConfig:
    """All options of a fit, resolved; ``levels`` are the sizes of the blocks of categories at the end of the rows."""

    n_components: int
    network: Network
    likelihood: Likelihood
    objective: Objective
    missing: bool
    scaling: str
    training: TrainingOptions
    validation_fraction: float | None
    early_stopping: bool
    device: torch.device
    seed: int
    names: list[str] | None
    image_shape: tuple[int, int, int] | None = None
    levels: tuple[int, ...] = ()


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


def fit_options(estimator: Any) -> dict[str, str]:
    """Return, as text, the parameters that a fit's result depends on, the random state apart."""
    parameters = estimator.get_params(deep=False)
    return {name: repr(value) for name, value in parameters.items() if name not in _NOT_OF_THE_FIT}


def describe_training(config: TrainConfig) -> dict[str, Any]:
    """Return how a model was trained as plain values."""
    return {
        "optimizer": config.optimizer.to_json(),
        "schedule": config.schedule.to_json(),
        "learning_rate": config.learning_rate,
        "batch_size": config.batch_size,
        "steps": config.steps,
    }


@dataclass(frozen=True)
class Split:
    """How rows are held out: once, or in several folds, or not at all (0); and whether all rows are fitted again."""

    folds: int
    held_out: int
    refit: bool


def make_split(n_rows: int, fraction: float | None, *, early_stopping: bool, refits: bool) -> Split:
    """Decide how many rows to hold out."""
    if fraction is not None:
        held_out = min(round(fraction * n_rows), n_rows - 1)
        if fraction > 0 and n_rows > 1:
            held_out = max(1, held_out)
        return Split(1 if held_out else 0, held_out, refit=False)
    if n_rows < 10 or not early_stopping:
        return Split(0, 0, refit=False)
    if n_rows < FEW_ROWS and refits:
        folds = 5 if n_rows < VERY_FEW_ROWS else 3
        return Split(folds, n_rows // folds, refit=True)
    held_out = min(max(1, n_rows // 10), MAX_HELD_OUT)
    return Split(1, held_out, refit=refits and n_rows <= REFIT_ROWS)


def make_train_config(
    options: TrainingOptions, n_rows: int, n_features: int, work: int, *, kind: str, evaluated: bool
) -> TrainConfig:
    """Fill in what the user left open."""
    batch_size = options.batch_size or min(_batch_size(n_rows), MAX_BATCH[kind])
    batch_size = min(batch_size, n_rows)
    per_epoch = -(-n_rows // batch_size)
    if options.max_epochs is not None:
        steps = options.max_epochs * per_epoch
        evaluate_every = per_epoch * max(1, options.max_epochs // 100)
    else:
        affordable = FLOP_BUDGETS[kind] / (6.0 * work * batch_size)
        # Few rows are fitted six times, and their best step is an early one.
        wanted = MIN_STEPS if n_rows < FEW_ROWS else np.clip(100 * n_rows / batch_size, MIN_STEPS, MAX_STEPS[kind])
        steps = int(max(MIN_STEPS, min(int(wanted), affordable)))
        evaluate_every = max(1, steps // EVALUATIONS)
    patience = options.patience
    if patience is None and evaluated and options.max_epochs is None:
        patience = EVALUATIONS // 3
    return TrainConfig(
        optimizer=options.optimizer,
        schedule=options.schedule,
        learning_rate=options.learning_rate or _learning_rate(options.optimizer, n_rows, n_features, kind),
        batch_size=batch_size,
        steps=steps,
        evaluate_every=evaluate_every,
        patience=patience if evaluated else None,
        max_seconds=options.max_seconds,
        work=work,
    )


def _batch_size(n_rows: int) -> int:
    for limit, size in ((500, 32), (2000, 64), (20_000, 128), (200_000, 256)):
        if n_rows < limit:
            return size
    return 512


def _learning_rate(optimizer: Optimizer, n_rows: int, n_features: int, kind: str) -> float:
    """Return the peak rate: narrow and long tables bear a high one, wide and short ones and wide networks do not."""
    if type(optimizer).__name__ != "Adam":
        return 0.01 if kind == "variational images" and type(optimizer).__name__ == "Muon" else optimizer.default_rate
    if kind.startswith("variational"):
        return 5e-4 if n_rows < 5000 and n_features < 64 else 2e-3
    if n_rows < FEW_ROWS:
        return 3e-3
    if kind == "ordered" and n_features >= 200:
        return 3.5e-3
    return 1e-2 if n_features < 200 else 5e-3
