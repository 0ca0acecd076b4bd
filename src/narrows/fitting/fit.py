"""The one path of every fit: split, measure, build, train, choose, compare, refit.

What differs from one kind of model to another is in the objective. With a network that starts at PCA, held-out rows
decide whether it leaves PCA at all: it does so only for a gain they can tell from chance.
"""

import math
import os
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from narrows.data.moments import Moments, check_magnitudes, measure, principal_components
from narrows.data.rows import Rows, plain_rows, sample_rows
from narrows.data.streams import StreamRows
from narrows.errors import DataError
from narrows.fitting import build, selection, settings
from narrows.fitting.objectives import BLOCK_ROWS, Objective, simple_errors
from narrows.fitting.progress import ProgressCallbacks, progress_bar
from narrows.fitting.settings import FitConfig, Split
from narrows.fitting.splits import equal_rows, held_out_rows, joined
from narrows.likelihoods import Standardise
from narrows.networks import LinearInit
from narrows.networks.model import EncoderDecoder, multiplications_per_row
from narrows.training.checkpoint import CheckpointFile, fingerprint
from narrows.training.loop import LossParts, TrainConfig, TrainerCallbacks, TrainResult, train
from narrows.training.optimisers import assign_parameters

PLAIN_FRACTION = 0.2
"""Fraction of the steps that the plain autoencoder gets, which the reconstructions are held against."""

MIN_PLAIN_STEPS = 1500


@dataclass
class FitResult:
    """What a fit gives."""

    model: EncoderDecoder
    history: list[dict[str, Any]]
    baselines: dict[str, Any]
    # Whether the model is still the linear start.
    stayed: bool
    stopped: str
    train_config: TrainConfig
    # Steps behind the final weights.
    steps: int
    # Whether there were so few rows that the linear path was frozen.
    few_rows: bool
    # As the data had it resolved.
    config: FitConfig
    # Of all rows.
    moments: Moments
    # What the objective says of the final model.
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

    def history(self, objective: Objective) -> list[dict[str, Any]]:
        """Return the records, in the unit that the objective reports."""
        unit = objective.unit(self.model)
        return [selection.scale_losses(record, unit) for record in self.result.history]

    def evaluation_rows(self, seed: int) -> Rows:
        """Return the rows to measure on: those held out, otherwise some of those trained on."""
        return self.held_out if self.held_out is not None else _sample(self.rows, seed)


def fit_estimator(estimator: Any, rows: Rows, config: FitConfig, groups: np.ndarray | None = None) -> FitResult:
    """Fit an estimator's model, with the progress that it shows and the checkpoint that it keeps."""
    checkpoint = None
    if estimator.checkpoint is not None:
        facts = [settings.fit_options(estimator), config.seed, rows.n_rows, rows.n_features]
        seconds = float(estimator.checkpoint_seconds)
        checkpoint = CheckpointFile(os.fspath(estimator.checkpoint), seconds, fingerprint(facts, rows))
    with progress_bar(estimator.callbacks, estimator.verbose) as progress:
        result = fit_model(rows, config, progress, checkpoint, groups)
    if checkpoint is not None and result.stopped != "interrupted":
        checkpoint.remove()
    return result


def fit_model(
    rows: Rows,
    config: FitConfig,
    progress: ProgressCallbacks,
    checkpoint: CheckpointFile | None = None,
    groups: np.ndarray | None = None,
) -> FitResult:
    """Fit a model to rows; rows that are equal, or of one of the ``groups``, are held out together or not at all."""
    split, parts, together = _hold_out(rows, config, groups)
    moments = [[_measure(part, config) for part in pair] for pair in parts]
    all_rows = moments[0][0].merge(moments[0][1]) if split.folds else moments[0][0]
    check_magnitudes(rows, all_rows, config.names)
    config = build.resolve_auto(config, all_rows)
    fitter = _Fitter(config, all_rows, progress, checkpoint, split)
    folds = fitter.train_folds(parts, moments)
    stopped = folds[-1].result.stopped
    # A training interrupted before its first evaluation has nothing to say; without any there is no model to keep.
    folds = [fold for fold in folds if fold.result.held_out or not split.folds]
    if not folds:
        raise KeyboardInterrupt
    choice = selection.choose([fold.result for fold in folds], config, untrained=folds[0].train_config.steps == 0)
    for fold in folds:
        _load(fold, choice, config)
    if stopped not in ("interrupted", "callback") and not fitter.train_plain(folds):
        stopped = "interrupted"
    errors = [_errors(fold, choice, config) for fold in folds]
    joint = {name: torch.cat([part[name] for part in errors]) for name in errors[0]}
    baselines = selection.summarise_errors(joint, held_out=bool(split.folds)) | _density_baselines(folds, joint, config)
    baselines |= together
    first = folds[0]
    model = first.model
    if choice.stayed and split.folds:
        config = selection.without_doubtful_bounds(config, joint)
        model, _ = start_model(rows, all_rows, all_rows, config)
    elif split.refit and stopped not in ("interrupted", "callback", "time"):
        again = fitter.train("refit", rows, None, all_rows, repeat=(first.train_config, choice.steps))
        # What the first fit found is better than half a second one.
        if again.result.stopped == "interrupted":
            stopped = "interrupted"
        else:
            model = again.model
    # Rows that come later may have gaps, also where those of the fit had none.
    model.standardise.missing = config.missing
    return FitResult(
        model=model.eval(),
        history=selection.join_histories([fold.history(config.objective) for fold in folds], config.objective),
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


def _hold_out(
    rows: Rows, config: FitConfig, groups: np.ndarray | None
) -> tuple[Split, list[tuple[Rows, ...]], dict[str, int]]:
    """Part rows, and count those that equal an earlier one, and the groups, where there are any."""
    split = settings.make_split(
        rows.n_rows,
        config.validation_fraction,
        early_stopping=config.early_stopping,
        refits=config.objective.refits(config.network),
    )
    if groups is not None and isinstance(rows, StreamRows):
        raise DataError("groups= need rows in memory: those of a stream are held out at random")
    twins = equal_rows(rows) if split.folds and not isinstance(rows, StreamRows) else None
    together = {} if twins is None else {"equal_rows": rows.n_rows - len(np.unique(twins))}
    if groups is not None:
        together["groups"] = len(np.unique(groups))
    return split, split_rows(rows, split, config.seed, joined(twins, groups)), together


def split_rows(rows: Rows, split: Split, seed: int, groups: np.ndarray | None = None) -> list[tuple[Rows, ...]]:
    """Part rows into those to train on and those held out, once or once for each fold."""
    if split.folds == 0:
        return [(rows,)]
    if isinstance(rows, StreamRows):
        return [rows.split(split.held_out, seed)]
    cuts = held_out_rows(rows.n_rows, split.held_out, split.folds, groups, seed)
    everything = np.arange(rows.n_rows)
    parted: Any = rows
    return [(parted.subset(np.setdiff1d(everything, cut)), parted.subset(cut)) for cut in cuts]


def _measure(rows: Rows, config: FitConfig) -> Moments:
    return measure(plain_rows(rows), allow_missing=config.missing, names=config.names)


def start_model(
    rows: Rows, moments: Moments, all_rows: Moments, config: FitConfig
) -> tuple[EncoderDecoder, LinearInit]:
    """Make the untrained model and its linear start: ``moments``, of the training rows, set the scale."""
    standardise = build.make_standardise(moments, all_rows, config)
    freeze = all_rows.n_rows < settings.FEW_ROWS and not config.objective.posterior
    start = linear_init(rows, moments, standardise, config, freeze_linear=freeze)
    return build.build_model(standardise, start, all_rows, config, plain_rows(rows).dtype), start


def linear_init(
    rows: Rows, moments: Moments, standardise: Standardise, config: FitConfig, *, freeze_linear: bool
) -> LinearInit:
    """Return what is known of the standardised rows before training."""
    objective = config.objective
    scale = standardise.scale64.expand_as(moments.mean)
    components, component_std = principal_components(plain_rows(rows), moments, scale, config.n_components, config.seed)
    return LinearInit(
        components=components,
        component_std=component_std,
        center=(moments.mean - standardise.shift64) / scale,
        std=moments.variance.sqrt() / scale,
        freeze_linear=freeze_linear,
        image_shape=config.image_shape,
        input_std=_corrupted_std(objective, rows, config.seed, standardise) if objective.corrupts(rows) else None,
        ordered=objective.ordered,
        posterior=objective.posterior,
        n_labels=objective.n_labels,
    )


def _corrupted_std(objective: Objective, rows: Rows, seed: int, standardise: Standardise) -> Tensor:
    """Return the standard deviation of each column of the encoder's input, from the first few blocks."""
    blocks = islice(objective.inputs(rows, seed), 4)
    return torch.cat([standardise(corrupted) for _, corrupted in blocks]).double().std(0, correction=0)


def _sample(rows: Rows, seed: int) -> Rows:
    """Return as many of the rows as are held out at most, chosen at random; of a stream all."""
    return rows if isinstance(rows, StreamRows) else sample_rows(rows, settings.MAX_HELD_OUT, seed)


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
        model, start = start_model(rows, self.all_rows, self.all_rows, self.config)
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
        model, start = start_model(rows, moments, self.all_rows, config)
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
            return self.progress.on_record({"run": name, **objective.complete(selection.scale_losses(record, unit))})

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
        found = settings.make_train_config(
            config.training, rows.n_rows, rows.n_features, work, kind=kind, evaluated=evaluated
        )
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


def _load(fold: FoldFit, choice: selection.Choice, config: FitConfig) -> None:
    """Give a fold's model the parameters that count."""
    if fold.held_out is None:
        return
    result = fold.result
    values = result.best_values if config.early_stopping else result.values
    assign_parameters(fold.model, result.start_values if choice.stayed else values)


def _errors(fold: FoldFit, choice: selection.Choice, config: FitConfig) -> dict[str, Tensor]:
    """Measure the squared errors of a fold's model and of the trivial answers on rows that it did not see."""
    model, objective = fold.model.cpu().eval(), config.objective
    rows, standardise = fold.evaluation_rows(config.seed), fold.model.standardise

    def inputs() -> Any:
        return objective.inputs(rows, config.seed)

    errors = simple_errors(inputs(), standardise, fold.start)
    if fold.held_out is not None and objective.is_squared_error(model):
        errors["model"] = fold.result.held_out[choice.best].double()
    else:
        errors["model"] = model.squared_errors(inputs())
    if objective.ordered:
        errors |= model.size_errors(inputs(), fold.start.components, fold.start.center)
    if fold.plain is not None:
        errors["autoencoder"] = fold.plain.cpu().eval().squared_errors(inputs())
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
