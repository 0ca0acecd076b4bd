"""How a variational autoencoder is fitted: hold out, train, compare, train on all rows again; and its prior."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.data.rows import plain_rows
from narrows.estimator.inference import apply_in_blocks
from narrows.fitting.baselines import compare, significantly_better
from narrows.fitting.build import build_model, objective_of, resolve_auto
from narrows.fitting.defaults import make_split
from narrows.fitting.elbo import KLWeight, active_components
from narrows.fitting.run import Run, few_of, joint_history, joint_losses, measured, split_rows, train_run
from narrows.training.moments import Moments, measure
from narrows.training.objective import LossParts
from narrows.variational.measures import independent_cost, ppca_cost, values_of

if TYPE_CHECKING:
    from narrows.data.rows import Rows
    from narrows.fitting.build import FitConfig
    from narrows.fitting.run import ProgressCallbacks
    from narrows.networks.model import VariationalModel
    from narrows.priors import CodePrior, Prior
    from narrows.training.checkpoint import CheckpointFile
    from narrows.training.loop import TrainConfig

__all__ = ["Fitted", "fit_variational", "fitted_prior", "with_total"]

PLAIN_SHARE = 0.2
"""Share of the steps that the plain autoencoder gets, which the reconstructions are held against."""

LEAST_PLAIN_STEPS = 1500

MOST_CODES = 20_000
"""Codes that the prior is fitted to at most: its steps take as long as they are many."""

LEAST_OF_LABEL = 200


@dataclass
class Fitted:
    """What a fit gives.

    Attributes
    ----------
    model : VariationalModel
        The fitted pipeline.
    history : list of dict
        One record an evaluation, in nats a row.
    baselines : dict
        Squared errors and bits a value of the model and of the simple answers, on the same rows.
    stopped : str
        Why the training ended.
    plan : TrainConfig
        How it was trained.
    steps : int
        Steps behind the final weights.
    active : int
        Numbers of the code that are used.
    settings : FitConfig
        As the data had them settled.
    moments : Moments
        Of all rows.
    """

    model: VariationalModel
    history: list[dict[str, Any]]
    baselines: dict[str, Any]
    stopped: str
    plan: TrainConfig
    steps: int
    active: int
    settings: FitConfig
    moments: Moments


def fit_variational(
    rows: Rows, settings: FitConfig, monitor: ProgressCallbacks, file: CheckpointFile | None = None
) -> Fitted:
    """Fit a variational autoencoder to rows.

    Parameters
    ----------
    rows : Rows
        All rows; pairs of rows and label numbers where the decoder is told of labels.
    settings : FitConfig
        The options.
    monitor : ProgressCallbacks
        Who is told.
    file : CheckpointFile, optional
        Where to save the state now and then.
    """
    split = make_split(rows.n_rows, settings.validation_fraction, starts_linear=True)
    parts = split_rows(rows, split, settings.seed)
    names = settings.names
    own = [[measure(plain_rows(part), allow_missing=settings.missing, names=names) for part in pair] for pair in parts]
    whole = own[0][0] if split.folds == 0 else own[0][0].merge(own[0][1])
    settings = resolve_auto(settings, whole)
    runs: list[Run] = []
    fit = _Fit(settings, whole, monitor, file, 1 / (len(parts) * (1 + PLAIN_SHARE) + split.refit))
    for number, pair in enumerate(parts):
        name = f"fold {number + 1}" if split.folds > 1 else "fit"
        held_out = pair[1] if split.folds else None
        runs.append(fit.run(name, pair[0], held_out, own[number][0], n_runs=max(1, split.folds + split.refit)))
        if runs[-1].outcome.stopped in ("interrupted", "callback"):
            break
    stopped = runs[-1].outcome.stopped
    ended = stopped in ("interrupted", "callback")
    # A run interrupted before its first evaluation has nothing to say; without any there is no model to keep.
    runs = [run for run in runs if run.outcome.held_out or not split.folds]
    if not runs:
        raise KeyboardInterrupt
    first = runs[0]
    steps, stayed = _choose(runs, settings) if split.folds else (first.outcome.step, False)
    for run in runs:
        _load(run, settings, stayed=stayed)
    plain = [] if ended else fit.plain(runs, parts, own)
    if any(run.outcome.stopped == "interrupted" for run in plain):
        plain, stopped, ended = [], "interrupted", True
    baselines = _compared(runs, plain, parts, own, settings)
    model = first.model
    if stayed and not ended:
        model = build_model(rows, whole, whole, settings)[0]
    elif split.refit and not ended and stopped != "time":
        again = fit.run("refit", rows, None, whole, n_runs=split.folds + 1, repeat=(first.plan, steps))
        again.flat.release()
        # What the first fit found is better than half a second one.
        if again.outcome.stopped == "interrupted":
            stopped = "interrupted"
        else:
            model = again.model
    for run in runs:
        run.flat.release()
    watched = few_of(rows if first.held_out is None else first.held_out, settings.seed)
    active = active_components(model.eval(), watched)  # type: ignore[arg-type]
    history = [with_total(record, settings) for record in joint_history(runs)]
    return Fitted(model, history, baselines, stopped, first.plan, steps, active, settings, whole)  # type: ignore[arg-type]


@dataclass
class _Fit:
    """What all the trainings of one fit share."""

    settings: FitConfig
    whole: Moments
    monitor: ProgressCallbacks
    file: CheckpointFile | None
    time_share: float

    def run(self, name: str, rows: Rows, held_out: Rows | None, moments: Moments, **options: Any) -> Run:
        """Train once."""
        return train_run(
            name,
            rows,
            held_out,
            moments,
            self.whole,
            self.settings,
            self.monitor,
            self.file,
            time_share=self.time_share,
            **options,
        )

    def plain(self, runs: list[Run], parts: list[tuple[Rows, ...]], own: list[list[Moments]]) -> list[Run]:
        """Train the same network as an autoencoder without noise or KL, for a share of the steps of each run."""
        plan = runs[0].plan
        steps = min(plan.steps, max(LEAST_PLAIN_STEPS, round(PLAIN_SHARE * plan.steps)))
        if plan.max_seconds is not None:
            plan = replace(plan, max_seconds=PLAIN_SHARE * plan.max_seconds)
        repeat = replace(plan, steps=steps), steps
        bare = replace(self.settings, kl=KLWeight(beta=0.0), n_labels=0, corrupt=None, sampled=False)
        # Who watches the fit is not told of losses that are not its own, and so cannot stop it by them.
        silent = replace(self.monitor, on_record=lambda record: None)  # noqa: ARG005
        fit = replace(self, settings=bare, file=None, monitor=silent)
        found: list[Run] = []
        for _, pair, moments in zip(runs, parts, own, strict=False):
            rows = plain_rows(pair[0])
            found.append(fit.run("plain autoencoder", rows, None, moments[0], n_runs=2, repeat=repeat))
            if found[-1].outcome.stopped == "interrupted":
                break
        return found


def _choose(runs: list[Run], settings: FitConfig) -> tuple[int, bool]:
    """Return the steps that did best on held-out rows, and whether that is none: the linear start is kept."""
    losses = joint_losses(runs)
    means = losses.double().mean(1)
    if not settings.early_stopping:
        return runs[0].outcome.step, False
    best = int(means.argmin())
    if settings.network.starts_linear and (best == 0 or not significantly_better(losses[best], losses[0])):
        return 0, True
    return runs[0].outcome.evaluated[best], False


def _load(run: Run, settings: FitConfig, *, stayed: bool) -> None:
    """Give a run's model the parameters that count."""
    outcome = run.outcome
    if stayed:
        run.load(outcome.start_values)
    elif run.held_out is not None:
        run.load(outcome.best_values if settings.early_stopping else outcome.values)


def with_total(record: dict[str, Any], settings: FitConfig) -> dict[str, Any]:
    """Add the total of the losses as they are in the end, when the KL has its whole weight."""
    assert settings.kl is not None
    result = dict(record)
    for start in ("", "val_"):
        if f"{start}kl_loss" in record:
            parts = record[f"{start}reconstruction_loss"], record[f"{start}kl_loss"]
            result[f"{start}total_loss"] = parts[0] + settings.kl.beta * parts[1]
    return result


def _compared(
    runs: list[Run], plain: list[Run], parts: list[tuple[Rows, ...]], own: list[list[Moments]], settings: FitConfig
) -> dict[str, Any]:
    """Measure the models of all runs, and the simple answers, on the rows that each did not see."""
    unspoilt = replace(settings, corrupt=None)
    errors, costs, counts, values = [], [], [], 0
    for number, run in enumerate(runs):
        train_rows = parts[number][0]
        rows = few_of(train_rows if run.held_out is None else run.held_out, settings.seed)
        bare = plain_rows(rows)
        errors.append(measured(run, bare, unspoilt))
        if plain:
            errors[-1]["autoencoder"] = measured(plain[number], bare, unspoilt)["model"]
            plain[number].flat.release()
        costs.append(_costs(run, train_rows, rows, own[number][0], settings))
        counts.append(rows.n_rows)
        values += values_of(bare, settings.missing)
    joint = {name: torch.cat([part[name] for part in errors]) for name in errors[0]}
    found = compare(joint, held_out=runs[0].held_out is not None)
    means = {name: float(np.average([part[name] for part in costs], weights=counts)) for name in costs[0]}
    found["bits_per_feature"] = {
        name: nats * sum(counts) / (max(1, values) * math.log(2)) for name, nats in means.items()
    }
    found["nats_per_row"] = means
    return found


def _costs(run: Run, train_rows: Rows, rows: Rows, moments: Moments, settings: FitConfig) -> dict[str, float]:
    """Return the mean cost of rows, in nats, under a model and under the simple ones."""
    model = run.model.eval()
    device = settings.device
    generator = torch.Generator(device).manual_seed(settings.seed + 1)
    objective = objective_of(model, settings)
    with torch.no_grad():
        parts = LossParts.joined(objective(block.to(device), generator) for block in rows.blocks(1024)).parts
    head = model.head.cpu()
    bare = plain_rows(rows)
    costs = {
        "model": float(sum(part.double().mean() for part in parts.values())),
        "independent": independent_cost(train_rows, bare, head, moments),
        "ppca": ppca_cost(bare, head, run.start),
    }
    model.to(device)
    return {name: nats for name, nats in costs.items() if nats is not None}


def fitted_prior(
    model: VariationalModel, rows: Rows, prior: Prior, labels: np.ndarray | None, seed: int
) -> CodePrior | None:
    """Fit the prior to one draw from the posterior of each of many rows.

    Parameters
    ----------
    model : VariationalModel
        The fitted pipeline.
    rows : Rows
        All rows.
    prior : Prior
        What to fit.
    labels : ndarray of int, shape (n_rows,), or None
        Numbers of their labels, each of which occurs.
    seed : int
        Of draws and fit.
    """
    rows = plain_rows(rows)
    shares = None if labels is None else np.bincount(labels) / len(labels)
    if rows.n_rows > MOST_CODES:
        index = _chosen(rows.n_rows, labels, seed)
        rows, labels = rows.subset(index), None if labels is None else labels[index]  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(seed)

    def encode(block: torch.Tensor) -> torch.Tensor:
        return torch.cat(model.posterior(model.standardise(block)), 1)

    size = model.n_components
    found = torch.from_numpy(apply_in_blocks(model, rows, encode, (2 * size,), np.dtype(np.float64)))
    mean, log_variance = found[:, :size], found[:, size:]
    noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
    codes = (mean + torch.exp(log_variance / 2) * noise).numpy()
    return prior.fit(codes, labels, seed, shares)


def _chosen(n_rows: int, labels: np.ndarray | None, seed: int) -> np.ndarray:
    """Choose rows by chance, and enough of each label however rare it is."""
    order = np.random.default_rng(seed).permutation(n_rows)
    index = order[:MOST_CODES]
    if labels is not None:
        index = np.concatenate([index, *(order[labels[order] == k][:LEAST_OF_LABEL] for k in range(labels.max() + 1))])
    return np.unique(index)
