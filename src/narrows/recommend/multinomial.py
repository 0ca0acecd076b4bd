"""Denoising and variational autoencoders with a multinomial likelihood, initialised from the linear solution."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse import csr_array
from torch import Generator, Tensor, nn

from narrows.recommend.evaluation import fold_ndcg
from narrows.recommend.interactions import rows_of
from narrows.recommend.linear import fit_truncated
from narrows.recommend.methods import Multinomial
from narrows.recommend.scorers import Bags, Scorer, bags_of, cosines
from narrows.recommend.splits import Fold
from narrows.training.loop import LossParts, TrainConfig, TrainerCallbacks, TrainResult, train
from narrows.training.optimisers import Adam
from narrows.training.schedules import OneCycle

INIT_L2, INIT_POPULARITY = 100.0, 0.15
INIT_LOG_VARIANCE = -2.0
INIT_USERS = 200

EPOCHS, PATIENCE = 20, 3
FLOP_BUDGET = 6e12


class MultinomialScorer(Scorer):
    """A linear path and a hidden layer beside it, from the items a user has to logits over all items.

    ::

        items --(n_items, k + h)--> sums over the root of their number: code (k) | hidden (h)
        code * scale | tanh(hidden) --(n_items, k + h)--> + bias: logits

    In the variational one the hidden layer is fed by the code, which is a distribution.
    """

    def __init__(self, n_items: int, n_components: int, hidden: int, *, variational: bool) -> None:
        super().__init__(n_items)
        self.size, self.variational = n_components, variational
        self.encoder = nn.Parameter(torch.zeros(n_items, n_components + (0 if variational else hidden)))
        self.middle = nn.Parameter(torch.zeros(hidden))
        self.decoder = nn.Parameter(torch.zeros(n_items, n_components + hidden))
        self.bias = nn.Parameter(torch.zeros(n_items))
        self.log_scale = nn.Parameter(torch.zeros(()))
        if variational:
            self.inner = nn.Parameter(torch.zeros(n_components, hidden))
            self.log_variance = nn.Parameter(torch.full((n_components,), INIT_LOG_VARIANCE))
            self.spread = nn.Parameter(torch.zeros(n_components, n_components))

    def code(self, bags: Bags, weights: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the code, shape (n_users, k), and what goes into the hidden layer beside it.

        ``weights`` is what each item counts, 0 where it is hidden.
        """
        counts = bags.counts.clamp(min=1).to(self.bias.dtype)
        scaled = torch.repeat_interleave(counts.rsqrt(), bags.counts)
        sums = bags.sum(scaled if weights is None else scaled * weights, self.encoder)
        return sums[:, : self.size], None if self.variational else sums[:, self.size :]

    def features(self, code: Tensor, beside: Tensor | None) -> Tensor:
        """Return the input of the decoder, shape (n_users, k + h)."""
        inward = code @ self.inner if beside is None else beside
        return torch.cat([code * self.log_scale.exp(), torch.tanh(inward + self.middle)], 1)

    def forward(self, bags: Bags) -> Tensor:
        """Return logits."""
        return torch.addmm(self.bias, self.features(*self.code(bags)), self.decoder.T)

    def similar(self, items: Tensor) -> Tensor:
        """Return the cosines between what the decoder holds of items."""
        linear = self.decoder[:, : self.size] * self.log_scale.exp()
        return cosines(torch.cat([linear, self.decoder[:, self.size :]], 1).detach(), items)


class MultinomialLoss(torch.autograd.Function):
    """Minus the log probability of each user's items; one table of logits serves forwards and backwards."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, decoder: Tensor, bias: Tensor, bags: Bags) -> Tensor:
        """Return the loss of each user."""
        logits = torch.addmm(bias, features, decoder.T)
        users, counts = bags.users, bags.counts.to(logits.dtype)
        top = logits.max(1, keepdim=True).values
        picked = logits[users, bags.items]
        logits.sub_(top).exp_()
        total = logits.sum(1)
        loss = counts * (total.log() + top[:, 0])
        loss.index_add_(0, users, picked, alpha=-1.0)
        # The gradient by the logits: how many items there are times their probabilities, less the items.
        logits.mul_((counts / total)[:, None])
        logits[users, bags.items] -= 1.0
        ctx.save_for_backward(features, decoder, logits)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Return the gradients by features, decoder and bias."""
        features, decoder, logits = ctx.saved_tensors
        # Used once: overwriting it saves a table as large.
        logits.mul_(gradients[0][:, None])
        return logits @ decoder, logits.T @ features, logits.sum(0), None


class MultinomialObjective:
    """The loss of the items of a user that are hidden, given the others.

    The published models are asked for all items, those they are given too; to be asked for the hidden ones only is what
    they are used for, and ranks better.
    """

    def __init__(self, model: MultinomialScorer, method: Multinomial) -> None:
        self.model, self.method = model, method

    def __call__(self, batch: Any, generator: Generator | None, progress: float = 1.0) -> LossParts:
        """Return the loss of each user."""
        model, method = self.model, self.method
        weights, hidden = None, batch
        if generator is not None and method.dropout:
            drawn = torch.rand(len(batch.items), generator=generator, device=batch.items.device)
            weights = (drawn >= method.dropout).to(torch.float32) / (1.0 - method.dropout)
            hidden = batch.select(weights == 0)
        code, beside = model.code(batch, weights)
        parts: dict[str, Tensor] = {}
        if model.variational:
            log_variance = model.log_variance + code @ model.spread
            kl = 0.5 * (code.square() + log_variance.exp() - log_variance - 1).sum(1)
            parts["kl"] = kl * (method.beta * min(1.0, 2.0 * progress))
            if generator is not None:
                noise = torch.randn(code.shape, generator=generator, device=code.device)
                code = code + noise * (0.5 * log_variance).exp()
        found: Any = MultinomialLoss.apply(model.features(code, beside), model.decoder, model.bias, hidden)
        return LossParts({"reconstruction": found, **parts})


class UserBatches:
    """Users to train on, drawn as bags: what :func:`narrows.training.loop.train` takes for rows."""

    def __init__(self, matrix: csr_array) -> None:
        self.matrix = matrix
        self.n_rows, self.n_features = matrix.shape
        self.dtype = matrix.dtype

    def blocks(self, rows: int) -> Iterator[Any]:
        """Yield all users in order, ``rows`` at a time."""
        for start in range(0, self.n_rows, rows):
            yield bags_of(self.matrix[start : start + rows])

    def batches(self, rows: int, seed: int, skip: int = 0) -> Iterator[Any]:
        """Yield all users once in a random order."""
        order = np.random.default_rng(seed).permutation(self.n_rows)
        for start in range(skip * rows, self.n_rows, rows):
            yield bags_of(self.matrix[order[start : start + rows]])


def init_from_svd(matrix: csr_array, method: Multinomial, seed: int) -> MultinomialScorer:
    """Return the untrained model: the linear autoencoder of this rank, its logits scaled to be probabilities."""
    n_items = matrix.shape[1]
    size = min(method.n_components, *matrix.shape)
    linear = fit_truncated(matrix, INIT_L2, INIT_POPULARITY, size, seed)
    assert linear.decoder is not None
    model = MultinomialScorer(n_items, size, method.hidden, variational=method.variational)
    generator = torch.Generator().manual_seed(seed)
    counts = np.diff(matrix.indptr).astype(np.float32)
    sums = matrix @ linear.encoder.numpy() / np.sqrt(np.maximum(counts, 1.0))[:, None]
    units = torch.from_numpy(np.maximum(sums.std(0), 1e-6).astype(np.float32))
    inward, outward = linear.encoder / units, linear.decoder * units
    # Steps of one learning rate are to change both tables alike; the scale of the logits makes up for it.
    outward = outward * (_root_mean_square(inward) / _root_mean_square(outward))
    taken = torch.from_numpy(np.bincount(matrix.indices, minlength=n_items).astype(np.float32)).clamp(min=0.5)
    log_popularity = (taken / taken.mean()).log()
    with torch.no_grad():
        model.encoder[:, :size] = inward
        model.decoder[:, :size] = outward
        if method.variational:
            model.inner.copy_(torch.randn(model.inner.shape, generator=generator) / math.sqrt(size))
        else:
            model.encoder[:, size:] = 0.05 * torch.randn(n_items, method.hidden, generator=generator)
        scale, power = _calibrate(matrix, inward.numpy(), outward, log_popularity, method.dropout, seed)
        model.log_scale.fill_(math.log(scale))
        model.bias.copy_(power * log_popularity)
    return model


def _root_mean_square(weights: Tensor) -> Tensor:
    found = weights.square().mean().sqrt()
    return torch.where(found > 0, found, torch.ones_like(found))


def _calibrate(
    matrix: csr_array, encoder: np.ndarray, decoder: Tensor, log_popularity: Tensor, dropout: float, seed: int
) -> tuple[float, float]:
    """Return the scale of the logits, and the power of the popularity, at which users' items are most probable."""
    rng = np.random.default_rng(seed)
    rows = matrix[rng.permutation(matrix.shape[0])[:INIT_USERS]]
    # From a part of the items, as in the training; a scale found on whole rows would be far too sure.
    weights = (rng.random(rows.nnz) >= dropout) / (1.0 - dropout) / np.sqrt(np.diff(rows.indptr)[rows_of(rows)])
    codes = sparse.csr_array((weights.astype(np.float32), rows.indices, rows.indptr), shape=rows.shape) @ encoder
    users, items = torch.from_numpy(rows_of(rows)), torch.from_numpy(rows.indices.astype(np.int64))
    counts = torch.from_numpy(np.diff(rows.indptr))
    logits = torch.from_numpy(codes) @ decoder.T
    base = 8.0 / max(float(logits.std(correction=0)), 1e-6)

    def loss(scale: float, power: float) -> float:
        shifted = logits * scale + power * log_popularity
        return float((counts * shifted.logsumexp(1)).sum() - shifted[users, items].sum())

    scales = [float(x) for x in base * np.geomspace(1 / 32, 16.0, 19)]
    powers = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0]
    # The one and the other in turn.
    scale, power = scales[len(scales) // 2], powers[2]
    for _ in range(2):
        scale = min(scales, key=lambda tried: loss(tried, power))
        power = min(powers, key=lambda tried: loss(scale, tried))
    return scale, power


def name_of(method: Multinomial) -> str:
    """Return what the literature calls it."""
    return "Mult-VAE" if method.variational else "Mult-DAE"


def work_of(n_items: int, method: Multinomial) -> float:
    """Return the multiplications for a user: the decoder is dense, the encoder a sum."""
    return float(n_items) * (method.n_components + method.hidden)


def train_plan(matrix: csr_array, method: Multinomial) -> TrainConfig:
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
    log: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> tuple[MultinomialScorer, TrainResult]:
    """Train once."""
    model = init_from_svd(matrix, method, seed).to(device)
    plan = replace(train_plan(matrix, method), stop_at=stop, patience=PATIENCE if fold is not None else None)

    def evaluate() -> LossParts:
        assert fold is not None
        return LossParts({"missed": torch.from_numpy(1.0 - fold_ndcg(model, fold, device))})

    def on_record(record: dict[str, Any]) -> None:
        if "val_loss" in record:
            record["ndcg@100"] = 1.0 - record.pop("val_loss")
            log(f"{name_of(method)}, epoch {record['epoch']:g}: NDCG@100 {record['ndcg@100']:.4f}")

    outcome = train(
        model,
        UserBatches(matrix),
        MultinomialObjective(model, method),
        plan,
        seed=seed,
        evaluate=evaluate if fold is not None else None,
        callbacks=TrainerCallbacks(on_record=on_record),
    )
    if fold is not None:
        nn.utils.vector_to_parameters(outcome.best_values, model.parameters())
    return model.eval().requires_grad_(requires_grad=False), outcome
