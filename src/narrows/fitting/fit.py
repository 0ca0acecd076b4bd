"""How an autoencoder is fitted: measure, hold out, start at PCA, train, choose, perhaps refit, compare.

The estimators above hand in rows and settings; the loop below trains. With a network that starts at PCA, held-out
rows decide whether it leaves PCA at all: it does so only for a gain they can tell from chance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from narrows.data.rows import plain_rows
from narrows.fitting.baselines import compare, significantly_better
from narrows.fitting.build import FitConfig, build_model
from narrows.fitting.defaults import make_split
from narrows.fitting.run import (
    ProgressCallbacks,
    Run,
    few_of,
    joint_history,
    joint_losses,
    make_run_plan,
    measured,
    split_rows,
    train_run,
)
from narrows.likelihoods import Gaussian, GaussianOutput
from narrows.training.loop import TrainConfig, TrainResult
from narrows.training.moments import Moments, measure

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.data.rows import Rows
    from narrows.networks.model import EncoderDecoder
    from narrows.training.checkpoint import CheckpointFile

__all__ = ["Fitted", "fit_model"]


@dataclass
class Fitted:
    """What a fit gives.

    Attributes
    ----------
    model : EncoderDecoder
        The fitted pipeline.
    history : list of dict
        One record an evaluation; losses per value, in the data's units.
    baselines : dict
        Squared error of the model, the mean row and PCA on the same rows.
    stayed : bool
        Whether the model is still the linear start.
    stopped : str
        Why the training ended.
    plan : TrainConfig
        How it was trained.
    steps : int
        Steps behind the final weights.
    few_rows : bool
        Whether there were so few rows that the linear path was held.
    """

    model: EncoderDecoder
    history: list[dict[str, Any]]
    baselines: dict[str, Any]
    stayed: bool
    stopped: str
    plan: TrainConfig
    steps: int
    few_rows: bool


def fit_model(
    rows: Rows, settings: FitConfig, monitor: ProgressCallbacks, file: CheckpointFile | None = None
) -> Fitted:
    """Fit an autoencoder to rows.

    Parameters
    ----------
    rows : Rows
        All rows.
    settings : FitConfig
        The options.
    monitor : ProgressCallbacks
        Who is told.
    file : CheckpointFile, optional
        Where to save the state now and then.
    """
    split = make_split(rows.n_rows, settings.validation_fraction, starts_linear=settings.network.starts_linear)
    parts = split_rows(rows, split, settings.seed)
    everything = [
        measure(plain_rows(part), allow_missing=settings.missing, names=settings.names)
        for pair in parts
        for part in pair
    ]
    if split.folds == 0:
        return _fit_all(rows, everything[0], settings, monitor, file)
    whole = everything[0].merge(everything[1])
    n_runs = split.folds + split.refit
    runs = []
    for number, (train_rows, held_out) in enumerate(parts):
        name = f"fold {number + 1}" if split.folds > 1 else "fit"
        moments = everything[2 * number]
        runs.append(train_run(name, train_rows, held_out, moments, whole, settings, monitor, file, n_runs=n_runs))
        if runs[-1].outcome.stopped in ("interrupted", "callback"):
            break
    stopped = runs[-1].outcome.stopped
    # A run interrupted before its first evaluation has nothing to say; without any there is no model to keep.
    runs = [run for run in runs if run.outcome.held_out]
    if not runs:
        raise KeyboardInterrupt
    best, stayed = _choose(runs, settings)
    errors = _errors(runs, best, settings)
    first = runs[0]
    if stayed:
        final = _plain_if_no_worse(settings, errors)
        model, _ = build_model(rows, whole, whole, final)
    elif split.refit and stopped not in ("interrupted", "callback", "time"):
        repeat = (first.plan, first.outcome.evaluated[best])
        again = train_run("refit", rows, None, whole, whole, settings, monitor, file, n_runs=n_runs, repeat=repeat)
        model = again.model
        if again.outcome.stopped == "interrupted":
            # What the first fit found is better than half a second one.
            stopped = "interrupted"
            first.load(first.outcome.best_values)
            model = first.model
    else:
        first.load(first.outcome.best_values if settings.early_stopping else first.outcome.values)
        model = first.model
    return _fitted(model, runs, errors, stayed=stayed, stopped=stopped, steps=first.outcome.evaluated[best])


def _fit_all(
    rows: Rows, moments: Moments, settings: FitConfig, monitor: ProgressCallbacks, file: CheckpointFile | None
) -> Fitted:
    """Fit without held-out rows: too few of them, or the user wants none."""
    too_few = settings.network.starts_linear and rows.n_rows < 10 and settings.validation_fraction is None
    stayed = too_few or not bool((moments.variance > 0).any())
    if stayed:
        model, start = build_model(rows, moments, moments, settings)
        plan = replace(make_run_plan(rows, model, settings, evaluated=False), steps=0)
        run = Run(model, start, plan, TrainResult(stopped="budget"))
    else:
        run = train_run("fit", rows, None, moments, moments, settings, monitor, file, n_runs=1)
    errors = measured(run, few_of(rows, settings.seed), settings)
    outcome = run.outcome
    return _fitted(
        run.model,
        [run],
        errors,
        stayed=stayed,
        stopped=outcome.stopped,
        steps=outcome.step,
        held_out=False,
    )


def _fitted(
    model: EncoderDecoder,
    runs: list[Run],
    errors: dict[str, Tensor],
    *,
    stayed: bool,
    stopped: str,
    steps: int,
    held_out: bool = True,
) -> Fitted:
    for run in runs:
        run.flat.release()
    history = joint_history(runs)
    baselines = compare(errors, held_out=held_out)
    return Fitted(model.eval(), history, baselines, stayed, stopped, runs[0].plan, steps, runs[0].start.freeze_linear)


def _choose(runs: list[Run], settings: FitConfig) -> tuple[int, bool]:
    """Find the evaluation at which to stop, and whether to keep to the linear start instead."""
    losses = joint_losses(runs)
    means = losses.double().mean(1)
    best = int(means.argmin()) if settings.early_stopping else len(means) - 1
    if not settings.network.starts_linear or not settings.early_stopping:
        return best, False
    stayed = best == 0 or not significantly_better(losses[best], losses[0])
    return (0, True) if stayed else (best, False)


def _plain_if_no_worse(settings: FitConfig, errors: dict[str, Tensor]) -> FitConfig:
    """Leave out guessed bounds where held-out rows cannot tell that they help: then the start is exactly PCA."""
    guessed = settings.likelihood == Gaussian()
    if guessed and not significantly_better(errors["model"], errors["pca"]):
        return replace(settings, likelihood=Gaussian(bounds="none"))
    return settings


def _errors(runs: list[Run], best: int, settings: FitConfig) -> dict[str, Tensor]:
    """Measure the chosen model and the trivial answers on the held-out rows of all runs."""
    found = []
    for run in runs:
        assert run.held_out is not None
        # For squared error the loss of the evaluation chosen is the error itself.
        known = isinstance(run.model.head, GaussianOutput) and not settings.ordered
        if not known:
            run.load(run.outcome.best_values)
        found.append(measured(run, run.held_out, settings, run.outcome.held_out[best].double() if known else None))
    return {name: torch.cat([errors[name] for errors in found]) for name in found[0]}
