"""Fitting and choosing a way to rank: on validation users, of whom a part of their items is told and the rest asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from narrows.recommend.bags import BagRows
from narrows.recommend.linear import fit_linear
from narrows.recommend.methods import Ensemble, Linear, Method, Multinomial
from narrows.recommend.multinomial import Hiding, started
from narrows.recommend.ranking import hits_of, list_metrics
from narrows.recommend.serving import best_items
from narrows.recommend.splits import told_and_asked
from narrows.training.loop import Hooks, Plan, train
from narrows.training.objective import LossParts
from narrows.training.optimisers import Adam
from narrows.training.schedules import OneCycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from scipy.sparse import csr_array
    from torch import Tensor

    from narrows.recommend.bags import Bags
    from narrows.training.loop import Outcome

__all__ = ["EnsembleScorer", "Fold", "Found", "fit_ranker", "make_folds", "ndcg_of"]

DEFAULT = Linear(l2=100.0, popularity=0.15)
"""What is taken where there are too few users to choose by."""

L2 = (50.0, 100.0, 200.0, 500.0)
FURTHER_L2 = {50.0: 25.0, 500.0: 1000.0, 1000.0: 2000.0}
POPULARITY = (0.15, 0.0, 0.25)
WEIGHTS = (0.1, 0.2, 0.4, 0.8)
"""How much the multinomial scores count in an ensemble, tried in turn."""

LEAST_USERS = 30
LENGTH = 100
MOST_VALIDATION_NUMBERS = 50_000_000
MOST_VALIDATION_USERS = 2000
AFFORDABLE_SEARCH = 3e11
AFFORDABLE_EPOCH = 2e13
EPOCHS, FLOP_BUDGET, PATIENCE = 20, 6e12, 3


@dataclass(frozen=True)
class Fold:
    """Users to train on, and users to choose by.

    Attributes
    ----------
    train : csr_array
        Rows of the first.
    told, asked : csr_array
        Of the second: what the model is shown, and what it is to find.
    """

    train: csr_array
    told: csr_array
    asked: csr_array


@dataclass
class Found:
    """What a fit found.

    Attributes
    ----------
    scorer : Module
        Fitted to all users.
    method : Method
        What it is, all decided.
    candidates : list of dict
        Of each candidate its name, NDCG@100 on validation users and its standard error.
    reason : str
        Why this one.
    history : list of dict
        Of the training of a network, if there was one.
    """

    scorer: nn.Module
    method: Method
    candidates: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)


class EnsembleScorer(nn.Module):
    """Two scorers' scores, each standardised for each user, added with a weight on the second."""

    weight: Tensor

    def __init__(self, linear: nn.Module, multinomial: nn.Module, weight: float) -> None:
        super().__init__()
        self.linear, self.multinomial = linear, multinomial
        self.register_buffer("weight", torch.tensor(weight, dtype=torch.float32))

    @property
    def n_items(self) -> int:
        """How many items it scores."""
        found: Any = self.linear.n_items
        return int(found)

    def forward(self, bags: Bags) -> Tensor:
        """Return scores, shape (n_users, n_items)."""
        first = _standardised(self.linear(bags))
        return first.add_(_standardised(self.multinomial(bags)).mul_(self.weight))

    def similar(self, items: Tensor) -> Tensor:
        """Return the linear scorer's similarities, shape (n, n_items)."""
        found: Tensor = self.linear.similar(items)  # type: ignore[operator]
        return found


def _standardised(scores: Tensor) -> Tensor:
    spread, mean = torch.std_mean(scores, dim=1, keepdim=True)
    return scores.sub_(mean).div_(spread.clamp_min(1e-12))


def ndcg_of(scorer: Any, fold: Fold, device: torch.device) -> np.ndarray:
    """Return NDCG@100 for each validation user."""
    best = best_items(scorer, fold.told, LENGTH, device, banned=fold.told)
    return list_metrics("ndcg", LENGTH, hits_of(best.items, fold.asked), np.diff(fold.asked.indptr))


def make_folds(matrix: csr_array, fraction: float | None, seed: int) -> list[Fold]:
    """Part users into those to train on and those to choose by.

    Parameters
    ----------
    matrix : csr_array of ones, shape (n_users, n_items)
        Who has what.
    fraction : float or None
        Share of users to choose by; None takes each user once, in folds, where there are few, and otherwise a tenth. 0
        takes none.
    seed : int
        Of the parting.
    """
    many = np.flatnonzero(np.diff(matrix.indptr) >= 5)
    if fraction == 0 or len(many) < LEAST_USERS:
        return []
    rng = np.random.default_rng(seed)
    order = rng.permutation(many)
    if fraction is None and len(many) < 3000:
        parts = np.array_split(order, 5 if len(many) < 1000 else 3)
    else:
        size = max(1, round((fraction or 0.1) * len(many)))
        parts = [order[:size]]
    limit = min(MOST_VALIDATION_USERS, max(100, MOST_VALIDATION_NUMBERS // matrix.shape[1]))
    folds = []
    for part in parts:
        rest = np.ones(matrix.shape[0], bool)
        rest[part[:limit]] = False
        told, asked = told_and_asked(matrix[part[:limit]], 0.2, rng)
        folds.append(Fold(matrix[rest], told, asked))
    return folds


def fit_ranker(
    matrix: csr_array,
    method: Method | None,
    *,
    fraction: float | None,
    seed: int,
    device: torch.device,
    tell: Callable[[str], None],
) -> Found:
    """Fit a way to rank; None chooses one.

    Parameters
    ----------
    matrix : csr_array of ones, shape (n_users, n_items)
        Who has what.
    method : Method or None
        Which; None tries all and takes the best on validation users.
    fraction : float or None
        Share of users to choose by, see :func:`make_folds`.
    seed : int
        Of everything random.
    device : torch.device
        Where to train and to score.
    tell : callable
        Given lines on how it goes.
    """
    matrix = matrix[np.diff(matrix.indptr) > 0]
    search = _Search(matrix, make_folds(matrix, fraction, seed), seed, device, tell)
    if isinstance(method, Linear):
        return search.linear(method)
    if isinstance(method, Multinomial):
        return search.multinomial(method)
    chosen = method if isinstance(method, Ensemble) else Ensemble()
    return search.ensemble(chosen, insist=method is not None)


class _Search:
    """Candidates, tried on the same validation users."""

    def __init__(
        self, matrix: csr_array, folds: list[Fold], seed: int, device: torch.device, tell: Callable[[str], None]
    ) -> None:
        self.matrix, self.folds, self.seed, self.device, self.tell = matrix, folds, seed, device, tell
        self.found: dict[str, np.ndarray] = {}
        self.candidates: list[dict[str, Any]] = []

    def add(self, name: str, values: np.ndarray) -> np.ndarray:
        error = float(values.std() / np.sqrt(len(values)))
        self.candidates.append({"method": name, "ndcg@100": float(values.mean()), "error": error})
        self.tell(f"{name}: NDCG@100 {values.mean():.4f} ± {error:.4f} on {len(values):,} validation users")
        return values

    def linear(self, asked: Linear) -> Found:
        """Fit the linear way."""
        method, _, why = self.best_linear(asked)
        return Found(self.solved(self.matrix, method).to(self.device), method, self.candidates, why)

    def solved(self, matrix: csr_array, method: Linear) -> Any:
        rank = None if isinstance(method.rank, str) else int(method.rank)
        return fit_linear(matrix, float(method.l2), float(method.popularity), rank, self.seed)

    def best_linear(self, asked: Linear) -> tuple[Linear, np.ndarray, str]:
        """Find penalty and exponent, as far as they are left open."""
        l2s: tuple[float, ...] = L2 if asked.l2 == "auto" else (float(asked.l2),)
        powers: tuple[float, ...] = POPULARITY if asked.popularity == "auto" else (float(asked.popularity),)
        if not self.folds:
            first = 100.0 if asked.l2 == "auto" else float(asked.l2)
            method = replace(asked, l2=first, popularity=powers[0])
            return method, np.zeros(0), "there were too few users, or none held out, to choose by"
        size = min(self.matrix.shape)
        if 2.0 * size**3 > AFFORDABLE_SEARCH:
            l2s, powers = l2s[1:3] or l2s, powers[:2]
        tried: dict[tuple[float, float], np.ndarray] = {}

        def at(power: float, l2: float) -> float:
            if (power, l2) not in tried:
                method = replace(asked, l2=l2, popularity=power)
                tried[power, l2] = np.concatenate(
                    [ndcg_of(self.solved(fold.train, method).to(self.device), fold, self.device) for fold in self.folds]
                )
            return float(tried[power, l2].mean())

        # The best penalty hardly depends on the exponent, except for its being 0, which is EASE as it is known.
        best = (powers[0], self._best_l2(powers[0], l2s, at))
        for power in powers[1:]:
            l2 = self._best_l2(power, l2s, at) if power == 0 else best[1]
            if power == 0:
                self.add(f"EASE (l2={l2:g})", tried[power, l2])
            best = max(best, (power, l2), key=lambda setting: at(*setting))
        values = self.add(f"linear (l2={best[1]:g}, popularity={best[0]:g})", tried[best])
        return replace(asked, l2=best[1], popularity=best[0]), values, "it is what was asked for"

    def _best_l2(self, power: float, l2s: tuple[float, ...], at: Callable[[float, float], float]) -> float:
        best = max(l2s, key=lambda l2: at(power, l2))
        while len(l2s) == len(L2) and best in FURTHER_L2:
            further = FURTHER_L2[best]
            if at(power, further) <= at(power, best):
                break
            best = further
        return best

    def multinomial(self, asked: Multinomial) -> Found:
        """Fit the multinomial way."""
        _, values, steps, _ = self.tried(asked)
        if len(values):
            self.add(_name(asked), values)
        scorer, outcome = self.trained(self.matrix, asked, None, steps)
        return Found(scorer, asked, self.candidates, "it is what was asked for", outcome.history)

    def tried(self, asked: Multinomial) -> tuple[list[Any], np.ndarray, int | None, list[dict[str, Any]]]:
        """Train on each fold; return the scorers, NDCG, the step to stop at, and a history."""
        scorers, values, steps, history = [], [], [], []
        for fold in self.folds:
            scorer, outcome = self.trained(fold.train, asked, fold, None)
            scorers.append(scorer)
            values.append(ndcg_of(scorer, fold, self.device))
            # As a share of the budget: all users make more steps than those of a fold.
            steps.append(outcome.evaluated[outcome.best] / _plan(fold.train, asked).steps)
            history = outcome.history
        if not scorers:
            return [], np.zeros(0), None, []
        stop = round(float(np.median(steps)) * _plan(self.matrix, asked).steps)
        return scorers, np.concatenate(values), stop, history

    def trained(
        self, matrix: csr_array, asked: Multinomial, fold: Fold | None, stop: int | None
    ) -> tuple[Any, Outcome]:
        """Train once, watched by a fold's validation users if there are any."""
        model = started(matrix, asked, self.seed).to(self.device)
        plan = replace(_plan(matrix, asked), stop_at=stop, patience=PATIENCE if fold is not None else None)

        def evaluate() -> LossParts:
            assert fold is not None
            return LossParts({"missed": torch.from_numpy(1.0 - ndcg_of(model, fold, self.device))})

        def told(record: dict[str, Any]) -> None:
            if "val_loss" in record:
                record["ndcg@100"] = 1.0 - record.pop("val_loss")
                self.tell(f"{_name(asked)}, epoch {record['epoch']:g}: NDCG@100 {record['ndcg@100']:.4f}")

        outcome = train(
            model,
            BagRows(matrix),
            Hiding(model, asked),
            plan,
            seed=self.seed,
            evaluate=evaluate if fold is not None else None,
            hooks=Hooks(on_record=told),
        )
        if fold is not None:
            _set(model, outcome.best_values)
        return model.eval().requires_grad_(requires_grad=False), outcome

    def ensemble(self, asked: Ensemble, *, insist: bool) -> Found:
        """Try both and their sum; unless the sum is insisted on, take the best that is surely better."""
        method, values, _ = self.best_linear(asked.linear)
        cost = 6.0 * self.matrix.shape[0] * _work(self.matrix.shape[1], asked.multinomial)
        if not insist and (not self.folds or cost > AFFORDABLE_EPOCH):
            why = "a pass of the network over the users would take too long to be tried unasked"
            why = why if self.folds else "there are too few users, or none held out, to choose by"
            return Found(self.solved(self.matrix, method).to(self.device), method, self.candidates, why)
        scorers, network, steps, history = self.tried(asked.multinomial)
        weight, best, name = 0.2, values, ""
        if self.folds:
            self.add(_name(asked.multinomial), network)
            weight, both = self._weighed(method, scorers)
            self.add(f"ensemble (weight={weight:g})", both)
            name, best = _surely_best({"linear": values, "multinomial": network, "ensemble": both})
        why = _reason(name, values, best) if not insist else "it is what was asked for"
        if not insist and name == "linear":
            return Found(self.solved(self.matrix, method).to(self.device), method, self.candidates, why, history)
        scorer, outcome = self.trained(self.matrix, asked.multinomial, None, steps)
        history = history or outcome.history
        if not insist and name == "multinomial":
            return Found(scorer, asked.multinomial, self.candidates, why, history)
        both_ways = EnsembleScorer(self.solved(self.matrix, method), scorer, weight).to(self.device)
        return Found(both_ways, replace(asked, linear=method), self.candidates, why, history)

    def _weighed(self, method: Linear, scorers: list[Any]) -> tuple[float, np.ndarray]:
        found: dict[float, list[np.ndarray]] = {weight: [] for weight in WEIGHTS}
        for fold, scorer in zip(self.folds, scorers, strict=True):
            linear = self.solved(fold.train, method).to(self.device)
            for weight in WEIGHTS:
                found[weight].append(ndcg_of(EnsembleScorer(linear, scorer, weight).to(self.device), fold, self.device))
        joined = {weight: np.concatenate(values) for weight, values in found.items()}
        best = max(joined, key=lambda weight: joined[weight].mean())
        return best, joined[best]


def _surely_best(found: dict[str, np.ndarray]) -> tuple[str, np.ndarray]:
    """Return the first, unless another is better by more than a standard error of the paired difference."""
    name, best = next(iter(found.items()))
    for other, values in found.items():
        difference = values - best
        if difference.mean() > difference.std() / np.sqrt(len(difference)):
            name, best = other, values
    return name, best


def _reason(name: str, linear: np.ndarray, best: np.ndarray) -> str:
    if name == "linear":
        return f"on {len(best):,} validation users nothing was surely better than the linear autoencoder"
    gain, error = (best - linear).mean(), (best - linear).std() / np.sqrt(len(best))
    return f"on {len(best):,} validation users its NDCG@100 is {gain:.4f} ± {error:.4f} above the linear autoencoder's"


def _name(method: Multinomial) -> str:
    return "Mult-VAE" if method.variational else "Mult-DAE"


def _work(n_items: int, method: Multinomial) -> float:
    """Multiplications for a user: the way back is dense, the way in a sum."""
    return float(n_items) * (method.n_components + method.hidden)


def _plan(matrix: csr_array, method: Multinomial) -> Plan:
    n_users, n_items = matrix.shape
    size = 500 if n_users > 10_000 else 100
    batch = min(n_users, size if isinstance(method.batch_size, str) else int(method.batch_size))
    per_epoch = -(-n_users // batch)
    work = _work(n_items, method)
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


def _set(model: nn.Module, values: Tensor) -> None:
    """Fill in the weights that were best."""
    start = 0
    for parameter in model.parameters():
        stop = start + parameter.numel()
        parameter.data.copy_(values[start:stop].view(parameter.shape))
        start = stop
