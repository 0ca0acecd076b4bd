"""Training a multinomial autoencoder, watched by validation users if there are any."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from narrows.recommend.bags import BagRows
from narrows.recommend.folds import Fold, ndcg_of
from narrows.recommend.multinomial import Hiding, started
from narrows.training.loop import Hooks, Plan, train
from narrows.training.objective import LossParts
from narrows.training.optimisers import Adam
from narrows.training.schedules import OneCycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from scipy.sparse import csr_array

    from narrows.recommend.methods import Multinomial
    from narrows.training.loop import Outcome

__all__ = ["fit_multinomial", "name_of", "plan_of", "work_of"]

EPOCHS, PATIENCE = 20, 3
FLOP_BUDGET = 6e12


def name_of(method: Multinomial) -> str:
    """Return what the literature calls it."""
    return "Mult-VAE" if method.variational else "Mult-DAE"


def work_of(n_items: int, method: Multinomial) -> float:
    """Return the multiplications for a user: the way back is dense, the way in a sum."""
    return float(n_items) * (method.n_components + method.hidden)


def plan_of(matrix: csr_array, method: Multinomial) -> Plan:
    """Decide batch size and budget."""
    n_users, n_items = matrix.shape
    size = 500 if n_users > 10_000 else 100
    batch = min(n_users, size if isinstance(method.batch_size, str) else int(method.batch_size))
    per_epoch = -(-n_users // batch)
    work = work_of(n_items, method)
    affordable = int(FLOP_BUDGET / (6.0 * work * n_users))
    epochs = max(1, min(EPOCHS, affordable)) if isinstance(method.max_epochs, str) else int(method.max_epochs)
    return Plan(
        optimizer=Adam(),
        schedule=OneCycle(peak=0.1),
        learning_rate=method.learning_rate,
        batch_size=batch,
        steps=epochs * per_epoch,
        evaluate_every=max(1, epochs * per_epoch // max(10, min(epochs, 40))),
        work=int(work),
    )


def fit_multinomial(
    matrix: csr_array,
    method: Multinomial,
    seed: int,
    device: torch.device,
    *,
    fold: Fold | None = None,
    stop: int | None = None,
    tell: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> tuple[Any, Outcome]:
    """Train once.

    Parameters
    ----------
    matrix : csr_array of ones, shape (n_users, n_items)
        Who has what.
    method : Multinomial
        The options.
    seed : int
        Of everything random.
    device : torch.device
        Where to train.
    fold : Fold, optional
        Its validation users are asked at each evaluation, and the weights that serve them best are kept.
    stop : int, optional
        The last step.
    tell : callable
        Given a line at each evaluation.

    Returns
    -------
    scorer : MultinomialScorer
        Trained.
    outcome : Outcome
        How it went; the history has ``ndcg@100`` where there was a fold.
    """
    model = started(matrix, method, seed).to(device)
    plan = replace(plan_of(matrix, method), stop_at=stop, patience=PATIENCE if fold is not None else None)

    def evaluate() -> LossParts:
        assert fold is not None
        return LossParts({"missed": torch.from_numpy(1.0 - ndcg_of(model, fold, device))})

    def told(record: dict[str, Any]) -> None:
        if "val_loss" in record:
            record["ndcg@100"] = 1.0 - record.pop("val_loss")
            tell(f"{name_of(method)}, epoch {record['epoch']:g}: NDCG@100 {record['ndcg@100']:.4f}")

    outcome = train(
        model,
        BagRows(matrix),
        Hiding(model, method),
        plan,
        seed=seed,
        evaluate=evaluate if fold is not None else None,
        hooks=Hooks(on_record=told),
    )
    if fold is not None:
        nn.utils.vector_to_parameters(outcome.best_values, model.parameters())
    return model.eval().requires_grad_(requires_grad=False), outcome
