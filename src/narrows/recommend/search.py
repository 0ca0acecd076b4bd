"""Fitting and choosing a way to rank: on validation users, of whom a part of their items is told and the rest asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.recommend.factors import fit_factors
from narrows.recommend.linear import fit_linear
from narrows.recommend.methods import Ensemble, Factors, Linear, Method, Multinomial
from narrows.recommend.multinomial import fit_multinomial, name_of, plan_of, work_of
from narrows.recommend.scorers import ConstantScorer, EnsembleScorer, popularity_of
from narrows.recommend.splits import Fold, make_folds, ndcg_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from scipy.sparse import csr_array
    from torch import nn

__all__ = ["Found", "fit_ranker"]

L2 = (50.0, 100.0, 200.0, 500.0)


USUAL_L2 = 100.0


FURTHER_L2 = {50.0: 25.0, 500.0: 1000.0, 1000.0: 2000.0}


POPULARITY = (0.15, 0.0, 0.25)


WEIGHTS = (0.5, 1.0)


"""How much a further part counts in an ensemble, tried in turn."""


AFFORDABLE_SEARCH = 3e11


AFFORDABLE_EPOCH = 3e11


AFFORDABLE_ENTRIES = 3_000_000


@dataclass
class Found:
    """What a fit found.

    Attributes
    ----------
    scorer : Module or None
        Fitted to all users; None where ratings rank.
    method : Method
        What it is, all decided.
    candidates : list of dict
        Of each candidate its name, NDCG@100 on validation users and its standard error.
    reason : str
        Why this one.
    history : list of dict
        Of the training of a network, if there was one.
    """

    scorer: nn.Module | None
    method: Method
    candidates: list[dict[str, Any]] = field(default_factory=list)
    reason: str = "it is what was asked for"
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Tried:
    """A way to rank, tried on the validation users.

    Attributes
    ----------
    method : Method
        What it is, all decided.
    scorers : list of Module
        Fitted to the training users of each fold.
    values : ndarray
        NDCG@100 of all validation users.
    stop : int or None
        The step at which to stop the training on all users.
    history : list of dict
        Of the training of a network.
    """

    method: Any
    scorers: list[Any]
    values: np.ndarray
    stop: int | None = None
    history: list[dict[str, Any]] = field(default_factory=list)


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
        Which; None tries all that can be afforded and takes what is best on validation users.
    fraction : float or None
        Share of users to choose by, see :func:`narrows.recommend.splits.make_folds`.
    seed : int
        Of everything random.
    device : torch.device
        Where to train and to score.
    tell : callable
        Given lines on how it goes.
    """
    matrix = matrix[np.diff(matrix.indptr) > 0]
    search = _Search(matrix, make_folds(matrix, fraction, seed), seed, device, tell)
    if method is None:
        return search.best()
    if isinstance(method, Ensemble):
        return search.ensemble(method)
    return search.single(method)


class _Search:
    """Candidates, tried on the same validation users."""

    def __init__(
        self, matrix: csr_array, folds: list[Fold], seed: int, device: torch.device, tell: Callable[[str], None]
    ) -> None:
        self.matrix, self.folds, self.seed, self.device, self.tell = matrix, folds, seed, device, tell
        self.candidates: list[dict[str, Any]] = []

    def add(self, name: str, values: np.ndarray) -> None:
        """Keep how a candidate did."""
        if len(values):
            error = float(values.std() / np.sqrt(len(values)))
            self.candidates.append({"method": name, "ndcg@100": float(values.mean()), "error": error})
            self.tell(f"{name}: NDCG@100 {values.mean():.4f} ± {error:.4f} on {len(values):,} validation users")

    def single(self, method: Method) -> Found:
        """Fit one way, as it was asked for."""
        tried = self.tried(method)
        tried.scorers.clear()
        scorer, history = self.on_all(tried)
        return Found(scorer, tried.method, self.candidates, history=history)

    def ensemble(self, method: Ensemble) -> Found:
        """Fit several ways and weigh them."""
        parts = [self.tried(part) for part in method.parts]
        weights = [1.0]
        for number in range(1, len(parts)):
            weights.append(self.weighed(parts[:number], weights, parts[number])[0])
        return self.joined(parts, weights, "it is what was asked for")

    def best(self) -> Found:
        """Choose: the best single way, and on top of it whatever surely makes it better."""
        if not self.folds:
            why = "there were too few users, or none held out, to choose by"
            return replace(self.single(Linear()), reason=why)
        self.add("popularity", self.popular())
        singles, left = [self.tried(Linear())], []
        if self.matrix.nnz <= AFFORDABLE_ENTRIES:
            singles.append(self.tried(Factors()))
        else:
            left.append("factors")
        if 6.0 * self.matrix.shape[0] * work_of(self.matrix.shape[1], Multinomial()) <= AFFORDABLE_EPOCH:
            singles.append(self.tried(Multinomial()))
        else:
            left.append("the network")
        chosen, weights = [_surely_best(singles)], [1.0]
        alone = values = chosen[0].values
        others = [tried for tried in singles if tried is not chosen[0]]
        while others:
            weighed = [self.weighed(chosen, weights, other) for other in others]
            best = max(range(len(others)), key=lambda number: weighed[number][1].mean())
            weight, both = weighed[best]
            # Models that err differently are better together nearly always, so less will do to join them.
            if not _surely(both - values, errors=0.5):
                break
            chosen, weights, values = [*chosen, others.pop(best)], [*weights, weight], both
        skipped = f"; {' and '.join(left)} would have taken long, and were not tried unasked" if left else ""
        return self.joined(chosen, weights, _reason(chosen, alone, values) + skipped)

    def joined(self, parts: list[Tried], weights: list[float], why: str) -> Found:
        """Fit the parts to all users and put them together."""
        fitted = [self.on_all(part) for part in parts]
        history = next((own for _, own in fitted if own), [])
        if len(parts) == 1:
            return Found(fitted[0][0], parts[0].method, self.candidates, why, history)
        scorer = EnsembleScorer([scorer for scorer, _ in fitted], weights).to(self.device)
        return Found(scorer, Ensemble(tuple(part.method for part in parts)), self.candidates, why, history)

    def popular(self) -> np.ndarray:
        """Return what popularity reaches."""
        found = []
        for fold in self.folds:
            scorer = ConstantScorer(torch.from_numpy(popularity_of(fold.train).astype(np.float32))).to(self.device)
            found.append(ndcg_of(scorer, fold, self.device))
        return np.concatenate(found)

    def weighed(self, parts: list[Tried], weights: list[float], other: Tried) -> tuple[float, np.ndarray]:
        """Find what a further part is to count."""
        if not self.folds:
            return WEIGHTS[0], np.zeros(0)
        found: dict[float, list[np.ndarray]] = {weight: [] for weight in WEIGHTS}
        for number, fold in enumerate(self.folds):
            scorers = [part.scorers[number] for part in [*parts, other]]
            for weight in WEIGHTS:
                both = EnsembleScorer(scorers, [*weights, weight]).to(self.device)
                found[weight].append(ndcg_of(both, fold, self.device))
        joined = {weight: np.concatenate(values) for weight, values in found.items()}
        best = WEIGHTS[0]
        for weight in WEIGHTS[1:]:
            if _surely(joined[weight] - joined[best]):
                best = weight
        names = " + ".join(type(part.method).__name__.lower() for part in [*parts, other])
        self.add(f"ensemble ({names}, the last counting {best:g})", joined[best])
        return best, joined[best]

    def tried(self, method: Method) -> Tried:
        """Fit a way to the training users of each fold, and measure it on the others."""
        if isinstance(method, Linear):
            return self.linear(method)
        if isinstance(method, Multinomial):
            return self.network(method)
        assert isinstance(method, Factors)
        scorers = [fit_factors(fold.train, method, self.seed).to(self.device) for fold in self.folds]
        values = self.measured(scorers)
        self.add("factors", values)
        return Tried(method, scorers, values)

    def measured(self, scorers: list[Any]) -> np.ndarray:
        """Return NDCG@100 of the validation users of all folds."""
        found = [ndcg_of(scorer, fold, self.device) for scorer, fold in zip(scorers, self.folds, strict=True)]
        return np.concatenate(found) if found else np.zeros(0)

    def on_all(self, tried: Tried) -> tuple[Any, list[dict[str, Any]]]:
        """Fit to all users what was tried; return the scorer and the history of a network."""
        method = tried.method
        if isinstance(method, Linear):
            return self.solved(self.matrix, method, kept=True), []
        if isinstance(method, Factors):
            return fit_factors(self.matrix, method, self.seed).to(self.device), []
        scorer, outcome = fit_multinomial(self.matrix, method, self.seed, self.device, stop=tried.stop)
        return scorer, tried.history or outcome.history

    def solved(self, matrix: csr_array, method: Linear, *, kept: bool = False) -> Any:
        """Solve for the weights of the linear way."""
        rank = None if isinstance(method.rank, str) else int(method.rank)
        return fit_linear(matrix, float(method.l2), float(method.popularity), rank, self.seed, kept=kept).to(
            self.device
        )

    def linear(self, asked: Linear) -> Tried:
        """Find penalty and exponent, as far as they are left open."""
        l2s: tuple[float, ...] = L2 if isinstance(asked.l2, str) else (float(asked.l2),)
        powers: tuple[float, ...] = POPULARITY if isinstance(asked.popularity, str) else (float(asked.popularity),)
        if not self.folds:
            first = USUAL_L2 if isinstance(asked.l2, str) else float(asked.l2)
            return Tried(replace(asked, l2=first, popularity=powers[0]), [], np.zeros(0))
        if 2.0 * min(self.matrix.shape) ** 3 > AFFORDABLE_SEARCH:
            l2s, powers = l2s[1:3] or l2s, powers[:2]
        tried: dict[tuple[float, float], np.ndarray] = {}

        def at(power: float, l2: float) -> float:
            if (power, l2) not in tried:
                method = replace(asked, l2=l2, popularity=power)
                scorers = (self.solved(fold.train, method) for fold in self.folds)
                found = [ndcg_of(scorer, fold, self.device) for scorer, fold in zip(scorers, self.folds, strict=True)]
                tried[power, l2] = np.concatenate(found)
            return float(tried[power, l2].mean())

        # The best penalty hardly depends on the exponent, except for its being 0, which is EASE as it is known.
        best = (powers[0], _best_l2(powers[0], l2s, at))
        usual = (powers[0], USUAL_L2 if USUAL_L2 in l2s else l2s[0])
        # Few users cannot tell close settings apart: what is usual stays unless another is surely better.
        if not _surely(tried[best] - tried[usual]):
            best = usual
        for power in powers[1:]:
            l2 = _best_l2(power, l2s, at) if power == 0 else best[1]
            at(power, l2)
            if power == 0:
                self.add(f"EASE (l2={l2:g})", tried[power, l2])
            if _surely(tried[power, l2] - tried[best]):
                best = (power, l2)
        method = replace(asked, l2=best[1], popularity=best[0])
        self.add(f"linear (l2={best[1]:g}, popularity={best[0]:g})", tried[best])
        return Tried(method, [self.solved(fold.train, method) for fold in self.folds], tried[best])

    def network(self, asked: Multinomial) -> Tried:
        """Train on each fold, and see when it was best."""
        scorers, shares, history = [], [], []
        for fold in self.folds:
            scorer, outcome = fit_multinomial(fold.train, asked, self.seed, self.device, fold=fold, tell=self.tell)
            scorers.append(scorer)
            # As a share of the budget: all users make more steps than those of a fold.
            shares.append(outcome.evaluated[outcome.best] / plan_of(fold.train, asked).steps)
            history = outcome.history
        if not scorers:
            return Tried(asked, [], np.zeros(0))
        values = self.measured(scorers)
        self.add(name_of(asked), values)
        stop = round(float(np.median(shares)) * plan_of(self.matrix, asked).steps)
        return Tried(asked, scorers, values, stop, history)


def _best_l2(power: float, l2s: tuple[float, ...], at: Callable[[float, float], float]) -> float:
    best = max(l2s, key=lambda l2: at(power, l2))
    while len(l2s) == len(L2) and best in FURTHER_L2:
        further = FURTHER_L2[best]
        if at(power, further) <= at(power, best):
            break
        best = further
    return best


def _surely(differences: np.ndarray, errors: float = 1.0) -> bool:
    """Whether differences, user by user, are above 0 by more than a standard error, or a share of it."""
    return bool(differences.mean() > errors * differences.std() / np.sqrt(len(differences)))


def _surely_best(tried: list[Tried]) -> Tried:
    """Return the first, unless another is better by more than a standard error of the paired difference."""
    best = tried[0]
    for other in tried[1:]:
        if _surely(other.values - best.values):
            best = other
    return best


def _reason(chosen: list[Tried], alone: np.ndarray, together: np.ndarray) -> str:
    name, users = type(chosen[0].method).__name__.lower(), f"on {len(alone):,} validation users"
    if len(chosen) == 1:
        return f"{users} nothing made the {name} model surely better"
    gain = together - alone
    return f"{users} its NDCG@100 is {gain.mean():.4f} ± {gain.std() / np.sqrt(len(gain)):.4f} above the {name} model's"
