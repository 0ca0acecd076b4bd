"""The one path of every fit: split, measure, build, train, choose, compare, refit.

What differs from one kind of model to another is in the objective. With a network that starts at PCA, held-out rows
decide whether it leaves PCA at all: it does so only for a gain they can tell from chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.data.moments import Moments, check_magnitudes, measure
from narrows.data.rows import plain_rows, sample_rows
from narrows.data.streams import StreamRows
from narrows.fitting.baselines import significantly_better, simple_errors, size_errors, squared_errors, summarise_errors
from narrows.fitting.build import build_model, resolve_auto
from narrows.fitting.defaults import MAX_HELD_OUT, Split, make_split, make_train_config
from narrows.fitting.objectives import BLOCK_ROWS
from narrows.likelihoods import Gaussian
from narrows.networks.model import multiplications_per_row
from narrows.training.loop import TrainConfig, TrainerCallbacks, TrainResult, train
from narrows.training.objective import LossParts
from narrows.training.optimisers import assign_parameters

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.data.rows import Rows
    from narrows.fitting.config import FitConfig, Objective
    from narrows.fitting.progress import ProgressCallbacks
    from narrows.networks import LinearInit
    from narrows.networks.model import EncoderDecoder
    from narrows.training.checkpoint import CheckpointFile

__all__ = ["FitResult", "fit_model", "scale_losses"]

PLAIN_FRACTION = 0.2
"""Fraction of the steps that the plain autoencoder gets, which the reconstructions are held against."""

MIN_PLAIN_STEPS = 1500

_NO_LOSSES = ("step", "epoch", "seconds", "learning_rate", "active_components")


@dataclass
class FitResult:
    """What a fit gives.

    Attributes
    ----------
    model : EncoderDecoder
        Fitted.
    history : list of dict
        One record an evaluation, in the unit that the objective reports.
    baselines : dict
        Of the model and of the trivial answers, on the same rows.
    stayed : bool
        Whether the model is still the linear start.
    stopped : str
        Why the training ended.
    train_config : TrainConfig
        How it was trained.
    steps : int
        Steps behind the final weights.
    few_rows : bool
        Whether there were so few rows that the linear path was frozen.
    config : FitConfig
        As the data had it resolved.
    moments : Moments
        Of all rows.
    statistics : dict
        What the objective says of the final model.
    """

    model: EncoderDecoder
    history: list[dict[str, Any]]
    baselines: dict[str, Any]
    stayed: bool
    stopped: str
    train_config: TrainConfig
    steps: int
    few_rows: bool
    config: FitConfig
    moments: Moments
    statistics: dict[str, float]


@dataclass
class FoldFit:
    """One training: on which rows, from what start, and how it went; with the plain autoencoder it is compared with."""

    rows: Rows
    held_out: Rows | None
    moments: Moments
    model: EncoderDecoder
    start: LinearInit
    train_config: TrainConfig
    result: TrainResult
    plain: EncoderDecoder | None = None

    def evaluation_rows(self, seed: int) -> Rows:
        """Return the rows to measure on: those held out, otherwise some of those trained on."""
        return self.held_out if self.held_out is not None else _sample(self.rows, seed)


@dataclass(frozen=True)
class Choice:
    """At which evaluation, after how many steps, the weights are taken; or that the linear start is kept."""

    best: int
    steps: int
    stayed: bool


def fit_model(
    rows: Rows, config: FitConfig, progress: ProgressCallbacks, checkpoint: CheckpointFile | None = None
) -> FitResult:
    """Fit a model to rows."""
    split = make_split(
        rows.n_rows,
        config.validation_fraction,
        early_stopping=config.early_stopping,
        refits=config.objective.refits(config.network),
    )
    parts = split_rows(rows, split, config.seed)
    moments = [[_measure(part, config) for part in pair] for pair in parts]
    all_rows = moments[0][0].merge(moments[0][1]) if split.folds else moments[0][0]
    check_magnitudes(rows, all_rows, config.names)
    config = resolve_auto(config, all_rows)
    fitter = _Fitter(config, all_rows, progress, checkpoint, split)
    folds = fitter.train_folds(parts, moments)
    stopped = folds[-1].result.stopped
    # A training interrupted before its first evaluation has nothing to say; without any there is no model to keep.
    folds = [fold for fold in folds if fold.result.held_out or not split.folds]
    if not folds:
        raise KeyboardInterrupt
    choice = _choose(folds, config)
    for fold in folds:
        _load(fold, choice, config)
    if stopped not in ("interrupted", "callback") and not fitter.train_plain(folds):
        stopped = "interrupted"
    errors = [_errors(fold, choice, config) for fold in folds]
    joint = {name: torch.cat([part[name] for part in errors]) for name in errors[0]}
    baselines = summarise_errors(joint, held_out=bool(split.folds)) | _density_baselines(folds, joint, config)
    first = folds[0]
    model = first.model
    if choice.stayed and split.folds:
        config = _without_doubtful_bounds(config, joint)
        model, _ = build_model(rows, all_rows, all_rows, config)
    elif split.refit and stopped not in ("interrupted", "callback", "time"):
        again = fitter.train("refit", rows, None, all_rows, repeat=(first.train_config, choice.steps))
        # What the first fit found is better than half a second one.
        if again.result.stopped == "interrupted":
            stopped = "interrupted"
        else:
            model = again.model
    return FitResult(
        model=model.eval(),
        history=_history(folds, config.objective),
        baselines=baselines,
        stayed=choice.stayed,
        stopped=stopped,
        train_config=first.train_config,
        steps=choice.steps,
        few_rows=first.start.freeze_linear,
        config=config,
        moments=all_rows,
        statistics=config.objective.statistics(model, first.evaluation_rows(config.seed)),
    )


def split_rows(rows: Rows, split: Split, seed: int) -> list[tuple[Rows, ...]]:
    """Part rows into those to train on and those held out, once or once for each fold."""
    if split.folds == 0:
        return [(rows,)]
    if isinstance(rows, StreamRows):
        return [rows.split(split.held_out, seed)]
    order = np.random.default_rng(seed).permutation(rows.n_rows)
    cuts = [order[: split.held_out]] if split.folds == 1 else np.array_split(order, split.folds)
    everything = np.arange(rows.n_rows)
    parted: Any = rows
    return [(parted.subset(np.setdiff1d(everything, cut)), parted.subset(np.sort(cut))) for cut in cuts]


def _measure(rows: Rows, config: FitConfig) -> Moments:
    return measure(plain_rows(rows), allow_missing=config.missing, names=config.names)


def _sample(rows: Rows, seed: int) -> Rows:
    """Return as many of the rows as are held out at most, chosen at random; of a stream all."""
    return rows if isinstance(rows, StreamRows) else sample_rows(rows, MAX_HELD_OUT, seed)


@dataclass
class _Fitter:
    """What all the trainings of one fit share."""

    config: FitConfig
    all_rows: Moments
    progress: ProgressCallbacks
    checkpoint: CheckpointFile | None
    split: Split

    @property
    def n_runs(self) -> int:
        return max(1, self.split.folds + self.split.refit)

    def train_folds(self, parts: list[tuple[Rows, ...]], moments: list[list[Moments]]) -> list[FoldFit]:
        """Train on each part in turn, until one is stopped from outside."""
        folds: list[FoldFit] = []
        for number, ((rows, *held_out), measured) in enumerate(zip(parts, moments, strict=True)):
            name = f"fold {number + 1}" if self.split.folds > 1 else "fit"
            if not held_out and self._keeps_linear_init(rows):
                folds.append(self._untrained(rows))
            else:
                folds.append(self.train(name, rows, held_out[0] if held_out else None, measured[0]))
            if folds[-1].result.stopped in ("interrupted", "callback"):
                break
        return folds

    def _keeps_linear_init(self, rows: Rows) -> bool:
        config = self.config
        return config.objective.keeps_linear_init(self.all_rows, config.network, config.validation_fraction)

    def _untrained(self, rows: Rows) -> FoldFit:
        model, start = build_model(rows, self.all_rows, self.all_rows, self.config)
        train_config = replace(self._train_config(model, start, rows, evaluated=False), steps=0)
        return FoldFit(rows, None, self.all_rows, model, start, train_config, TrainResult(stopped="budget"))

    def train(
        self,
        name: str,
        rows: Rows,
        held_out: Rows | None,
        moments: Moments,
        *,
        repeat: tuple[TrainConfig, int] | None = None,
    ) -> FoldFit:
        """Build a model for some rows and train it on them."""
        config, objective = self.config, self.config.objective
        model, start = build_model(rows, moments, self.all_rows, config)
        if repeat is None:
            train_config = self._train_config(model, start, rows, evaluated=held_out is not None)
        else:
            hopeless = objective.hopeless(model, start)
            train_config = replace(repeat[0], stop_at=repeat[1], patience=None, hopeless=hopeless)
        self.progress.on_run(name, train_config, self.n_runs)
        loss, unit = partial(objective.loss, model), objective.unit(model)
        watched = _sample(rows, config.seed) if held_out is None else held_out

        def evaluate() -> LossParts:
            assert held_out is not None
            # The same noise at every evaluation, so that they can be compared.
            generator = torch.Generator(config.device).manual_seed(config.seed + 1)
            return LossParts.joined(loss(block.to(config.device), generator) for block in held_out.blocks(BLOCK_ROWS))

        def on_record(record: dict[str, Any]) -> bool | None:
            return self.progress.on_record({"run": name, **objective.complete(scale_losses(record, unit))})

        result = train(
            model,
            rows,
            loss,
            train_config,
            seed=config.seed,
            evaluate=None if held_out is None else evaluate,
            callbacks=TrainerCallbacks(self.progress.on_step, on_record, lambda: objective.statistics(model, watched)),
            checkpoint=None if self.checkpoint is None else self.checkpoint.run(name),
        )
        return FoldFit(rows, held_out, moments, model, start, train_config, result)

    def _train_config(self, model: EncoderDecoder, start: LinearInit, rows: Rows, *, evaluated: bool) -> TrainConfig:
        config, split = self.config, self.split
        kind, work = config.objective.kind(config.network), multiplications_per_row(model, rows.n_features)
        found = make_train_config(config.training, rows.n_rows, rows.n_features, work, kind=kind, evaluated=evaluated)
        if not config.early_stopping or self.n_runs > 2:
            found = replace(found, patience=None)
        if found.max_seconds is not None:
            plain = 0 if config.objective.plain() is None else PLAIN_FRACTION
            runs = max(1, split.folds) * (1 + plain) + split.refit
            found = replace(found, max_seconds=found.max_seconds * (1 / runs))
        return replace(found, hopeless=config.objective.hopeless(model, start))

    def train_plain(self, folds: list[FoldFit]) -> bool:
        """Train the same networks as plain autoencoders for a fraction of the steps; False if interrupted."""
        objective = self.config.objective.plain()
        if objective is None:
            return True
        found = folds[0].train_config
        steps = min(found.steps, max(MIN_PLAIN_STEPS, round(PLAIN_FRACTION * found.steps)))
        if found.max_seconds is not None:
            found = replace(found, max_seconds=PLAIN_FRACTION * found.max_seconds)
        # Callbacks do not get losses that are not its own, and so cannot stop the fit by them.
        silent = replace(self.progress, on_record=lambda record: None)  # noqa: ARG005
        bare = replace(self, config=replace(self.config, objective=objective), checkpoint=None, progress=silent)
        repeat = replace(found, steps=steps), steps
        for fold in folds:
            plain = bare.train("plain autoencoder", plain_rows(fold.rows), None, fold.moments, repeat=repeat)
            if plain.result.stopped == "interrupted":
                for earlier in folds:
                    earlier.plain = None
                return False
            fold.plain = plain.model
        return True


def _choose(folds: list[FoldFit], config: FitConfig) -> Choice:
    """Find the evaluation at which to stop, and whether to keep to the linear start instead."""
    first = folds[0].result
    if folds[0].held_out is None:
        return Choice(0, first.step, stayed=folds[0].train_config.steps == 0)
    length = min(len(fold.result.held_out) for fold in folds)
    losses = torch.stack([torch.cat([fold.result.held_out[i] for fold in folds]) for i in range(length)])
    if not config.early_stopping:
        return Choice(length - 1, first.step, stayed=False)
    best = int(losses.double().mean(1).argmin())
    if config.network.starts_linear and (best == 0 or not significantly_better(losses[best], losses[0])):
        return Choice(0, 0, stayed=True)
    return Choice(best, first.evaluated[best], stayed=False)


def _load(fold: FoldFit, choice: Choice, config: FitConfig) -> None:
    """Give a fold's model the parameters that count."""
    if fold.held_out is None:
        return
    result = fold.result
    values = result.best_values if config.early_stopping else result.values
    assign_parameters(fold.model, result.start_values if choice.stayed else values)


def _errors(fold: FoldFit, choice: Choice, config: FitConfig) -> dict[str, Tensor]:
    """Measure the squared errors of a fold's model and of the trivial answers on rows that it did not see."""
    model, objective = fold.model.cpu().eval(), config.objective
    rows, standardise = fold.evaluation_rows(config.seed), fold.model.standardise

    def inputs() -> Any:
        return objective.inputs(rows, config.seed)

    errors = simple_errors(inputs(), standardise, fold.start)
    if fold.held_out is not None and objective.is_squared_error(model):
        errors["model"] = fold.result.held_out[choice.best].double()
    else:
        errors["model"] = squared_errors(inputs(), model, standardise.scale64)
    if objective.ordered:
        errors |= size_errors(inputs(), model, fold.start)
    if fold.plain is not None:
        errors["autoencoder"] = squared_errors(inputs(), fold.plain.cpu().eval(), standardise.scale64)
    model.to(config.device)
    # Each fold has its own scale.
    return {name: value if name == "values" else value * standardise.squared_unit for name, value in errors.items()}


def _density_baselines(folds: list[FoldFit], errors: dict[str, Tensor], config: FitConfig) -> dict[str, Any]:
    """Measure what rows cost under the model and under the trivial densities, in nats a row and bits a value."""
    seed, costs, counts = config.seed, [], []
    for fold in folds:
        rows = fold.evaluation_rows(seed)
        costs.append(config.objective.nll(fold.model, fold.start, fold.rows, rows, fold.moments, seed))
        counts.append(rows.n_rows)
    if not costs[0]:
        return {}
    means = {name: float(np.average([part[name] for part in costs], weights=counts)) for name in costs[0]}
    values = max(1, int(errors["values"].sum())) * math.log(2)
    return {
        "bits_per_feature": {name: nats * sum(counts) / values for name, nats in means.items()},
        "nats_per_row": means,
    }


def _without_doubtful_bounds(config: FitConfig, errors: dict[str, Tensor]) -> FitConfig:
    """Leave out guessed bounds where held-out rows cannot tell that they help: then the start is exactly PCA."""
    if config.likelihood == Gaussian() and not significantly_better(errors["model"], errors["pca"]):
        return replace(config, likelihood=Gaussian(bounds="none"))
    return config


def _history(folds: list[FoldFit], objective: Objective) -> list[dict[str, Any]]:
    """Bring records to the unit they are reported in, and average those of several folds."""
    histories = []
    for fold in folds:
        unit = objective.unit(fold.model)
        histories.append([scale_losses(record, unit) for record in fold.result.history])
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
