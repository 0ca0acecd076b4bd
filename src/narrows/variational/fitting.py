"""How a variational autoencoder is fitted: train, perhaps on all rows again, compare, then fit the prior."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.baselines import compare
from narrows.building import objective_of, settled
from narrows.elbo import KLWeight, active_components
from narrows.inference import run_rows
from narrows.planning import REFIT_ROWS, make_split
from narrows.runs import Run, few_of, measured, split_rows, train_run
from narrows.training.moments import Moments, measure
from narrows.training.objective import LossParts
from narrows.training.rows import plain_rows
from narrows.variational.measures import independent_cost, ppca_cost, told, values_of

if TYPE_CHECKING:
    from narrows.building import Settings
    from narrows.networks.variational import VariationalModel
    from narrows.priors import CodePrior, Prior
    from narrows.runs import Monitor
    from narrows.training.checkpoint import CheckpointFile
    from narrows.training.loop import Plan
    from narrows.training.rows import Rows

__all__ = ["Fitted", "fit_variational", "fitted_prior"]

PLAIN_SHARE = 0.2
"""Share of the steps that the plain autoencoder gets, which the reconstructions are held against."""

LEAST_PLAIN_STEPS = 1500

MOST_CODES = 50_000


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
    plan : Plan
        How it was trained.
    steps : int
        Steps behind the final weights.
    active : int
        Numbers of the code that are used.
    settings : Settings
        As the data had them settled.
    moments : Moments
        Of all rows.
    """

    model: VariationalModel
    history: list[dict[str, Any]]
    baselines: dict[str, Any]
    stopped: str
    plan: Plan
    steps: int
    active: int
    settings: Settings
    moments: Moments


def fit_variational(rows: Rows, settings: Settings, monitor: Monitor, file: CheckpointFile | None = None) -> Fitted:
    """Fit a variational autoencoder to rows.

    Parameters
    ----------
    rows : Rows
        All rows; pairs of rows and label numbers where the decoder is told of labels.
    settings : Settings
        The options.
    monitor : Monitor
        Who is told.
    file : CheckpointFile, optional
        Where to save the state now and then.
    """
    split = make_split(rows.n_rows, settings.validation_fraction, starts_linear=False)
    parts = split_rows(rows, split, settings.seed)[0]
    train_rows, held_out = parts[0], parts[1] if len(parts) > 1 else None
    own = [measure(plain_rows(part), allow_missing=settings.missing, names=settings.names) for part in parts]
    whole = own[0] if held_out is None else own[0].merge(own[1])
    settings = settled(settings, whole)
    again = held_out is not None and settings.validation_fraction is None and rows.n_rows <= REFIT_ROWS
    n_runs = 2 + again
    run = train_run("fit", train_rows, held_out, own[0], whole, settings, monitor, file, n_runs=n_runs)
    outcome = run.outcome
    steps, stopped = outcome.step, outcome.stopped
    if held_out is not None:
        if not outcome.held_out:
            raise KeyboardInterrupt
        best = outcome.best if settings.early_stopping else len(outcome.evaluated) - 1
        steps = outcome.evaluated[best]
        run.load(outcome.best_values if settings.early_stopping else outcome.values)
    ended = stopped in ("interrupted", "callback", "time")
    plain = None if ended else _plain(run, train_rows, own[0], whole, settings, monitor, n_runs)
    baselines = _compared(run, plain, train_rows, held_out, own[0], settings)
    final = run
    if again and not ended and steps:
        final = train_run(
            "refit", rows, None, whole, whole, settings, monitor, file, n_runs=n_runs, repeat=(run.plan, steps)
        )
        if final.outcome.stopped == "interrupted":
            stopped, final = "interrupted", run
    final.flat.release()
    model = final.model.eval()
    watched = few_of(held_out if held_out is not None else rows, settings.seed)
    active = active_components(model, watched)  # type: ignore[arg-type]
    history = [_record(record, settings) for record in outcome.history]
    return Fitted(model, history, baselines, stopped, run.plan, steps, active, settings, whole)  # type: ignore[arg-type]


def _record(record: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Add the total of the losses as they are in the end, when the KL has its whole weight."""
    assert settings.kl is not None
    result = dict(record)
    for start in ("", "val_"):
        if f"{start}kl_loss" in record:
            parts = record[f"{start}reconstruction_loss"], record[f"{start}kl_loss"]
            result[f"{start}total_loss"] = parts[0] + settings.kl.beta * parts[1]
    return result


def _plain(
    run: Run, rows: Rows, moments: Moments, whole: Moments, settings: Settings, monitor: Monitor, n_runs: int
) -> Run | None:
    """Train the same network as an autoencoder without noise or KL, for a share of the steps."""
    steps = min(run.plan.steps, max(LEAST_PLAIN_STEPS, round(PLAIN_SHARE * run.plan.steps)))
    limit = run.plan.max_seconds
    plan = replace(run.plan, steps=steps, max_seconds=None if limit is None else PLAIN_SHARE * limit)
    settings = replace(settings, kl=KLWeight(beta=0.0), n_labels=0, corrupt=None, sampled=False)
    name = "plain autoencoder"
    plain = train_run(
        name, plain_rows(rows), None, moments, whole, settings, monitor, None, n_runs=n_runs, repeat=(plan, steps)
    )
    return None if plain.outcome.stopped == "interrupted" else plain


def _compared(
    run: Run, plain: Run | None, train_rows: Rows, held_out: Rows | None, moments: Moments, settings: Settings
) -> dict[str, Any]:
    rows = few_of(held_out if held_out is not None else train_rows, settings.seed)
    bare = plain_rows(rows)
    unspoilt = replace(settings, corrupt=None)
    errors = measured(run, bare, unspoilt)
    found = compare(errors, held_out=held_out is not None)
    if plain is not None:
        found["autoencoder"] = compare(measured(plain, bare, unspoilt), held_out=True)["model"]
        plain.flat.release()
    model = run.model.eval()
    device = settings.device
    generator = torch.Generator(device).manual_seed(settings.seed + 1)
    objective = objective_of(model, settings)
    with torch.no_grad():
        parts = LossParts.joined(objective(block.to(device), generator) for block in rows.blocks(1024)).parts
    cost = float(sum(part.double().mean() for part in parts.values()))
    head = model.head.cpu()
    costs = {
        "model": cost,
        "independent": independent_cost(train_rows, bare, head, moments),
        "ppca": ppca_cost(bare, head, run.start),
    }
    model.to(device)
    found["bits_per_feature"] = told(costs, rows.n_rows, values_of(bare, settings.missing))
    found["nats_per_row"] = {name: nats for name, nats in costs.items() if nats is not None}
    return found


def fitted_prior(
    model: VariationalModel, rows: Rows, prior: Prior, labels: np.ndarray | None, n_labels: int, seed: int
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
        Numbers of their labels; -1 for none.
    n_labels : int
        How many labels there are.
    seed : int
        Of draws and fit.
    """
    rows = plain_rows(rows)
    generator = torch.Generator().manual_seed(seed)
    if labels is not None and (labels < 0).any():
        kept = np.flatnonzero(labels >= 0)
        rows, labels = rows.subset(kept), labels[kept]  # type: ignore[attr-defined]
    if rows.n_rows > MOST_CODES and hasattr(rows, "subset"):
        kept = np.sort(np.random.default_rng(seed).choice(rows.n_rows, MOST_CODES, replace=False))
        rows, labels = rows.subset(kept), None if labels is None else labels[kept]

    def encode(block: torch.Tensor) -> torch.Tensor:
        return torch.cat(model.posterior(model.standardise(block)), 1)

    size = model.n_components
    found = torch.from_numpy(run_rows(model, rows, encode, (2 * size,), np.dtype(np.float64)))
    mean, log_variance = found[:, :size], found[:, size:]
    noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
    codes = (mean + torch.exp(log_variance / 2) * noise).numpy()
    return prior.fit(codes, labels, n_labels, seed)
