"""Defaults that depend on the data: batch size, learning rate, budget, how to hold out.

Chosen on validation splits of tables of 50 to 20,000 rows, and on MNIST; ``bench/`` has the scripts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from narrows.training.loop import TrainConfig

if TYPE_CHECKING:
    from narrows.fitting.config import TrainingOptions
    from narrows.training.optimisers import Optimizer

__all__ = ["FEW_ROWS", "MAX_HELD_OUT", "Split", "make_split", "make_train_config"]

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


@dataclass(frozen=True)
class Split:
    """How rows are held out.

    Attributes
    ----------
    folds : int
        1 for a single split, more for cross-validation, 0 for none.
    held_out : int
        Rows held out in each.
    refit : bool
        Whether the fit is repeated on all rows.
    """

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
