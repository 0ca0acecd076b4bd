"""One training after another: what every fit does, whatever it fits.

Rows are parted, a model is built for a part and trained on it while the other part watches, and what it rebuilds is
measured beside the trivial answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.data.rows import sample_rows
from narrows.data.streams import StreamRows
from narrows.fitting.baselines import simple_errors, size_errors, squared_errors
from narrows.fitting.build import FitConfig, build_model, objective_of
from narrows.fitting.defaults import MOST_HELD_OUT, Split, make_plan
from narrows.fitting.elbo import active_components
from narrows.fitting.objectives import BLOCK_ROWS, corrupted_blocks
from narrows.networks.model import VariationalModel, multiplications_per_row
from narrows.training.loop import TrainConfig, TrainerCallbacks, TrainResult, train
from narrows.training.objective import LossParts
from narrows.training.optimisers import FlatParameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from narrows.data.rows import Rows
    from narrows.networks import LinearInit
    from narrows.networks.model import EncoderDecoder
    from narrows.training.checkpoint import CheckpointFile
    from narrows.training.moments import Moments

__all__ = [
    "ProgressCallbacks",
    "Run",
    "few_of",
    "joint_history",
    "joint_losses",
    "make_run_plan",
    "measured",
    "scaled",
    "split_rows",
    "train_run",
]


@dataclass
class ProgressCallbacks:
    """Who watches a fit: told of each run, step and record."""

    on_run: Callable[[str, TrainConfig, int], None] = lambda name, plan, n_runs: None  # noqa: ARG005
    on_step: Callable[[int], None] = lambda rows: None  # noqa: ARG005
    on_record: Callable[[dict[str, Any]], bool | None] = lambda record: None  # noqa: ARG005


@dataclass
class Run:
    """One training: its model, what it started from, and how it went."""

    model: EncoderDecoder
    start: LinearInit
    plan: TrainConfig
    outcome: TrainResult
    held_out: Rows | None = None
    flat: FlatParameters = field(init=False)

    def __post_init__(self) -> None:
        self.flat = FlatParameters(self.model)

    def load(self, values: Tensor) -> None:
        """Set the model's parameters."""
        self.flat.assign(values)


def split_rows(rows: Rows, split: Split, seed: int) -> list[tuple[Rows, ...]]:
    """Part rows into those to train on and those held out, once or once for each fold."""
    if split.folds == 0:
        return [(rows,)]
    if isinstance(rows, StreamRows):
        return [rows.split(split.held_out, seed)]
    order = np.random.default_rng(seed).permutation(rows.n_rows)
    if split.folds == 1:
        cuts = [np.sort(order[: split.held_out])]
    else:
        cuts = [np.sort(part) for part in np.array_split(order, split.folds)]
    everything = np.arange(rows.n_rows)
    return [(rows.subset(np.setdiff1d(everything, cut)), rows.subset(cut)) for cut in cuts]  # type: ignore[attr-defined]


def few_of(rows: Rows, seed: int) -> Rows:
    """Return as many of the rows as are held out at most, by chance; of a stream all."""
    return rows if isinstance(rows, StreamRows) else sample_rows(rows, MOST_HELD_OUT, seed)


def make_run_plan(rows: Rows, model: EncoderDecoder, settings: FitConfig, *, evaluated: bool) -> TrainConfig:
    """Decide how to train a model on rows."""
    work = multiplications_per_row(model, rows.n_features)
    return make_plan(settings.budget, rows.n_rows, rows.n_features, work, evaluated=evaluated, kind=settings.kind)


def train_run(
    name: str,
    rows: Rows,
    held_out: Rows | None,
    moments: Moments,
    whole: Moments,
    settings: FitConfig,
    monitor: ProgressCallbacks,
    file: CheckpointFile | None,
    *,
    n_runs: int,
    repeat: tuple[TrainConfig, int] | None = None,
    time_share: float | None = None,
) -> Run:
    """Build a model for some rows and train it on them.

    Parameters
    ----------
    name : str
        For the history, the progress bar and the checkpoint.
    rows, held_out : Rows
        To train on, and to watch by; None where there are none.
    moments, whole : Moments
        Of ``rows``, and of all rows.
    settings : FitConfig
        The options.
    monitor : ProgressCallbacks
        Who is told.
    file : CheckpointFile or None
        Where to save the state now and then.
    n_runs : int
        How many runs this fit has in all: they share the time.
    repeat : tuple of TrainConfig and int, optional
        The plan of an earlier run, and at which of its steps to stop.
    time_share : float, optional
        Share of the time limit; by default the same for each run.
    """
    model, start = build_model(rows, moments, whole, settings)
    if repeat is None:
        plan = make_run_plan(rows, model, settings, evaluated=held_out is not None)
        if not settings.early_stopping or n_runs > 2:
            plan = replace(plan, patience=None)
        if plan.max_seconds is not None:
            share = 1 / n_runs if time_share is None else time_share
            plan = replace(plan, max_seconds=plan.max_seconds * share)
    else:
        plan = replace(repeat[0], stop_at=repeat[1], patience=None)
    if settings.kl is None and not model.head.unbounded:
        # Ten times the loss of a model that says nothing: no fit gets there but one that runs away.
        plan = replace(plan, hopeless=10 * (float(start.std.square().sum()) + rows.n_features))
    monitor.on_run(name, plan, n_runs)
    objective = objective_of(model, settings)
    device = settings.device

    def evaluate() -> LossParts:
        assert held_out is not None
        # The same noise at every evaluation, so that they can be compared.
        generator = torch.Generator(device).manual_seed(settings.seed + 1)
        return LossParts.joined(objective(block.to(device), generator) for block in held_out.blocks(BLOCK_ROWS))

    unit = _unit(model, rows.n_features)
    sample = few_of(held_out if held_out is not None else rows, settings.seed) if settings.kl is not None else None

    def facts() -> dict[str, float]:
        return {} if sample is None else {"active_components": active_components(model, sample)}  # type: ignore[arg-type]

    def on_record(record: dict[str, Any]) -> bool | None:
        return monitor.on_record({"run": name, **scaled(record, unit)})

    outcome = train(
        model,
        rows,
        objective,
        plan,
        seed=settings.seed,
        evaluate=evaluate if held_out is not None else None,
        callbacks=TrainerCallbacks(monitor.on_step, on_record, facts),
        checkpoints=file.run(name) if file is not None else None,
    )
    return Run(model, start, plan, outcome, held_out)


def joint_losses(runs: list[Run]) -> Tensor:
    """Return the losses of the held-out rows of all runs, (evaluations, rows), as far as all runs went."""
    length = min(len(run.outcome.held_out) for run in runs)
    return torch.stack([torch.cat([run.outcome.held_out[i] for run in runs]) for i in range(length)])


def joint_history(runs: list[Run]) -> list[dict[str, Any]]:
    """Bring records to the data's units, and average those of several folds."""
    histories = []
    for run in runs:
        unit = _unit(run.model, run.start.n_features)
        histories.append([scaled(record, unit) for record in run.outcome.history])
    if len(histories) == 1:
        return histories[0]
    joint = []
    for records in zip(*histories, strict=False):
        mean = {key: float(np.mean([record[key] for record in records])) for key in records[0]}
        joint.append(mean | {"step": records[0]["step"]})
    return joint


def measured(run: Run, rows: Rows, settings: FitConfig, known: Tensor | None = None) -> dict[str, Tensor]:
    """Measure a run's model, if its errors are not known yet, and the trivial answers."""
    model = run.model
    device = run.flat.values.device
    model.cpu()

    def blocks() -> Any:
        return corrupted_blocks(rows, settings.corrupt, settings.seed)

    errors = simple_errors(blocks(), model.standardise, run.start)
    errors["model"] = known if known is not None else squared_errors(blocks(), model.eval(), model.standardise.scale64)
    if settings.ordered:
        errors |= size_errors(blocks(), model, run.start)
    model.to(device)
    return _in_units(errors, model)


def _in_units(errors: dict[str, Tensor], model: EncoderDecoder) -> dict[str, Tensor]:
    """Bring squared errors from a model's scaled units to those they are told in; each fold has its own scale."""
    unit = model.standardise.squared_unit
    return {name: value if name == "values" else value * unit for name, value in errors.items()}


def _unit(model: EncoderDecoder, n_features: int) -> float:
    """Return what brings losses to what they are told in: nats a row, or a value's share in the data's units."""
    return 1.0 if isinstance(model, VariationalModel) else model.head.unit / n_features


def scaled(record: dict[str, Any], factor: float) -> dict[str, Any]:
    """Bring the losses of a history record to another unit."""
    plain = ("step", "epoch", "seconds", "learning_rate", "active_components")
    return {key: value if key in plain else value * factor for key, value in record.items()}
