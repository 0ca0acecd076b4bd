"""Denoising and variational autoencoders with a multinomial likelihood, started at the linear answer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import nn

from narrows.recommend.linear import leading_directions
from narrows.recommend.scorers import BagRows
from narrows.recommend.splits import Fold, ndcg_of
from narrows.training.loop import TrainConfig, TrainerCallbacks, train
from narrows.training.objective import LossParts
from narrows.training.optimisers import Adam
from narrows.training.schedules import OneCycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from scipy.sparse import csr_array
    from torch import Generator, Tensor

    from narrows.recommend.methods import Multinomial
    from narrows.recommend.scorers import Bags
    from narrows.training.loop import TrainResult

__all__ = ["Hiding", "MultinomialScorer", "fit_multinomial", "name_of", "plan_of", "started", "work_of"]

START_L2, START_POPULARITY = 100.0, 0.15


START_LOG_VARIANCE = -2.0


_TRIAL_USERS = 200


class MultinomialScorer(nn.Module):
    """A linear path and a hidden layer beside it, from the items a user has to logits over all items.

    ::

        items --(n_items, k + h)--> sums over the root of their number: code (k) | hidden (h)
        code * scale | tanh(hidden) --(n_items, k + h)--> + bias: logits

    In the variational one the hidden layer is fed by the code, which is a distribution.

    Parameters
    ----------
    n_items, n_components, hidden : int
        Sizes.
    variational : bool
        Whether the code is a distribution.
    """

    def __init__(self, n_items: int, n_components: int, hidden: int, *, variational: bool) -> None:
        super().__init__()
        self.size, self.variational = n_components, variational
        self.encoder = nn.Parameter(torch.zeros(n_items, n_components + (0 if variational else hidden)))
        self.middle = nn.Parameter(torch.zeros(hidden))
        self.decoder = nn.Parameter(torch.zeros(n_items, n_components + hidden))
        self.bias = nn.Parameter(torch.zeros(n_items))
        self.log_scale = nn.Parameter(torch.zeros(()))
        if variational:
            self.inner = nn.Parameter(torch.zeros(n_components, hidden))
            self.log_variance = nn.Parameter(torch.full((n_components,), START_LOG_VARIANCE))
            self.spread = nn.Parameter(torch.zeros(n_components, n_components))

    @property
    def n_items(self) -> int:
        """How many items it scores."""
        return len(self.bias)

    def code(self, bags: Bags, shown: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the code, shape (n_users, k), and what goes into the hidden layer beside it.

        Parameters
        ----------
        bags : Bags
            The users.
        shown : Tensor, optional, shape (n,)
            What each item counts, 0 where it is hidden.
        """
        counts = bags.counts.clamp(min=1).to(self.bias.dtype)
        weights = torch.repeat_interleave(counts.rsqrt(), bags.counts)
        if shown is not None:
            weights = weights * shown
        sums = bags.sum(weights, self.encoder)
        return sums[:, : self.size], None if self.variational else sums[:, self.size :]

    def features(self, code: Tensor, beside: Tensor | None) -> Tensor:
        """Return what the decoder is given, shape (n_users, k + h)."""
        inward = code @ self.inner if beside is None else beside
        return torch.cat([code * self.log_scale.exp(), torch.tanh(inward + self.middle)], 1)

    def forward(self, bags: Bags) -> Tensor:
        """Return logits, shape (n_users, n_items)."""
        return torch.addmm(self.bias, self.features(*self.code(bags)), self.decoder.T)

    def similar(self, items: Tensor) -> Tensor:
        """Return the cosines between what the decoder holds of items and of all items, shape (n, n_items)."""
        linear = self.decoder[:, : self.size] * self.log_scale.exp()
        vectors = torch.nn.functional.normalize(torch.cat([linear, self.decoder[:, self.size :]], 1).detach(), dim=1)
        return vectors[items] @ vectors.T


class _MultinomialCost(torch.autograd.Function):
    """Minus the log probability of each user's items; one table of logits serves forwards and backwards."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, decoder: Tensor, bias: Tensor, bags: Bags) -> Tensor:
        logits = torch.addmm(bias, features, decoder.T)
        users, counts = bags.users, bags.counts.to(logits.dtype)
        top = logits.max(1, keepdim=True).values
        picked = logits[users, bags.items]
        logits.sub_(top).exp_()
        total = logits.sum(1)
        cost = counts * (total.log() + top[:, 0])
        cost.index_add_(0, users, picked, alpha=-1.0)
        # The gradient by the logits: how many items there are times their probabilities, less the items.
        logits.mul_((counts / total)[:, None])
        logits[users, bags.items] -= 1.0
        ctx.save_for_backward(features, decoder, logits)
        return cost

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        features, decoder, logits = ctx.saved_tensors
        # Used once: overwriting it saves a table as large.
        logits.mul_(gradients[0][:, None])
        return logits @ decoder, logits.T @ features, logits.sum(0), None


class Hiding:
    """The cost of the items of a user that are hidden, given the others.

    The published models are asked for all items, those they are shown too; to be asked for the hidden ones only is what
    they are used for, and ranks better.

    Parameters
    ----------
    model : MultinomialScorer
        What is trained.
    method : Multinomial
        Its options.
    """

    def __init__(self, model: MultinomialScorer, method: Multinomial) -> None:
        self.model, self.method = model, method

    def __call__(self, batch: Any, generator: Generator | None, progress: float = 1.0) -> LossParts:
        """Return the cost of each user."""
        model, method = self.model, self.method
        shown, asked = None, batch
        if generator is not None and method.dropout:
            drawn = torch.rand(len(batch.items), generator=generator, device=batch.items.device)
            shown = (drawn >= method.dropout).to(torch.float32) / (1.0 - method.dropout)
            asked = batch.some(shown == 0)
        code, beside = model.code(batch, shown)
        parts: dict[str, Tensor] = {}
        if model.variational:
            log_variance = model.log_variance + code @ model.spread
            kl = 0.5 * (code.square() + log_variance.exp() - log_variance - 1).sum(1)
            parts["kl"] = kl * (method.beta * min(1.0, 2.0 * progress))
            if generator is not None:
                noise = torch.randn(code.shape, generator=generator, device=code.device)
                code = code + noise * (0.5 * log_variance).exp()
        found: Any = _MultinomialCost.apply(model.features(code, beside), model.decoder, model.bias, asked)
        return LossParts({"reconstruction": found, **parts})


def started(matrix: csr_array, method: Multinomial, seed: int) -> MultinomialScorer:
    """Return the untrained model: the linear autoencoder of this rank, its logits scaled to be probabilities.

    Parameters
    ----------
    matrix : csr_array of ones, shape (n_users, n_items)
        Who has what.
    method : Multinomial
        The options.
    seed : int
        Of the weights of the hidden layer.
    """
    n_items = matrix.shape[1]
    size = min(method.n_components, *matrix.shape)
    linear = leading_directions(matrix, size, START_POPULARITY, seed).solved(START_L2)
    assert linear.decoder is not None
    model = MultinomialScorer(n_items, size, method.hidden, variational=method.variational)
    generator = torch.Generator().manual_seed(seed)
    counts = np.diff(matrix.indptr).astype(np.float32)
    sums = matrix @ linear.encoder.numpy() / np.sqrt(np.maximum(counts, 1.0))[:, None]
    units = torch.from_numpy(np.maximum(sums.std(0), 1e-6).astype(np.float32))
    inward, outward = linear.encoder / units, linear.decoder * units
    # Steps of one rate are to change both tables alike; the scale of the logits makes up for it.
    outward = outward * (_spread(inward) / _spread(outward))
    taken = torch.from_numpy(np.bincount(matrix.indices, minlength=n_items).astype(np.float32)).clamp(min=0.5)
    popular = (taken / taken.mean()).log()
    with torch.no_grad():
        model.encoder[:, :size] = inward
        model.decoder[:, :size] = outward
        if method.variational:
            model.inner.copy_(torch.randn(model.inner.shape, generator=generator) / math.sqrt(size))
        else:
            model.encoder[:, size:] = 0.05 * torch.randn(n_items, method.hidden, generator=generator)
        scale, power = _calibrated(matrix, inward.numpy(), outward, popular, method.dropout, seed)
        model.log_scale.fill_(math.log(scale))
        model.bias.copy_(power * popular)
    return model


def _spread(weights: Tensor) -> Tensor:
    """Return the root of the mean square, 1 where that is nothing."""
    found = weights.square().mean().sqrt()
    return torch.where(found > 0, found, torch.ones_like(found))


def _calibrated(
    matrix: csr_array, encoder: np.ndarray, decoder: Tensor, popular: Tensor, dropout: float, seed: int
) -> tuple[float, float]:
    """Return the scale of the logits, and the power of the popularity, at which users' items are most probable."""
    rng = np.random.default_rng(seed)
    rows = matrix[rng.permutation(matrix.shape[0])[:_TRIAL_USERS]]
    # Foretold from a part of the items, as in the training; a scale found on whole rows would be far too sure.
    shown = (rng.random(rows.nnz) >= dropout) / (1.0 - dropout)
    weights = shown / np.sqrt(np.repeat(np.diff(rows.indptr), np.diff(rows.indptr)))
    codes = sparse.csr_array((weights.astype(np.float32), rows.indices, rows.indptr), shape=rows.shape) @ encoder
    users = torch.from_numpy(np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)))
    items, counts = torch.from_numpy(rows.indices.astype(np.int64)), torch.from_numpy(np.diff(rows.indptr))
    logits = torch.from_numpy(codes) @ decoder.T
    base = 8.0 / max(float(logits.std(correction=0)), 1e-6)

    def cost(scale: float, power: float) -> float:
        given = logits * scale + power * popular
        return float((counts * given.logsumexp(1)).sum() - given[users, items].sum())

    return _least(cost, [float(x) for x in base * np.geomspace(1 / 32, 16.0, 19)], [0.0, 0.1, 0.25, 0.5, 0.75, 1.0])


def _least(cost: Callable[[float, float], float], scales: list[float], powers: list[float]) -> tuple[float, float]:
    """Return the best of some pairs, by one and by the other in turn."""
    scale, power = scales[len(scales) // 2], powers[2]
    for _ in range(2):
        scale = min(scales, key=lambda tried: cost(tried, power))
        power = min(powers, key=lambda tried: cost(scale, tried))
    return scale, power


EPOCHS, PATIENCE = 20, 3


FLOP_BUDGET = 6e12


def name_of(method: Multinomial) -> str:
    """Return what the literature calls it."""
    return "Mult-VAE" if method.variational else "Mult-DAE"


def work_of(n_items: int, method: Multinomial) -> float:
    """Return the multiplications for a user: the way back is dense, the way in a sum."""
    return float(n_items) * (method.n_components + method.hidden)


def plan_of(matrix: csr_array, method: Multinomial) -> TrainConfig:
    """Decide batch size and budget."""
    n_users, n_items = matrix.shape
    size = 500 if n_users > 10_000 else 100
    batch = min(n_users, size if isinstance(method.batch_size, str) else int(method.batch_size))
    per_epoch = -(-n_users // batch)
    work = work_of(n_items, method)
    affordable = int(FLOP_BUDGET / (6.0 * work * n_users))
    epochs = max(1, min(EPOCHS, affordable)) if isinstance(method.max_epochs, str) else int(method.max_epochs)
    return TrainConfig(
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
) -> tuple[Any, TrainResult]:
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
    outcome : TrainResult
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
        callbacks=TrainerCallbacks(on_record=told),
    )
    if fold is not None:
        nn.utils.vector_to_parameters(outcome.best_values, model.parameters())
    return model.eval().requires_grad_(requires_grad=False), outcome
