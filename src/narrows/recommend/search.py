"""Fitting and choosing what ranks, on validation users: part of their items is the fold-in, the rest held out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.recommend.evaluation import fold_ndcg
from narrows.recommend.factors import fit_factors
from narrows.recommend.linear import EASE_L2, LinearScorer, fit_linear
from narrows.recommend.methods import Ensemble, Factors, Linear, Method, Multinomial
from narrows.recommend.multinomial import fit_multinomial, name_of, train_plan, work_of
from narrows.recommend.scorers import ConstantScorer, EnsembleScorer, Scorer, popularity_of
from narrows.recommend.splits import Fold, make_folds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch
    from scipy.sparse import csr_array

__all__ = ["SearchResult", "fit_ranker", "validation_record"]

L2_GRID = (50.0, EASE_L2, 200.0, 500.0)
FURTHER_L2 = {50.0: 25.0, 500.0: 1000.0, 1000.0: 2000.0}
POPULARITY_GRID = (0.15, 0.0, 0.25)
WEIGHT_GRID = (0.5, 1.0)
"""How much a further part counts in an ensemble."""

AFFORDABLE_SEARCH = 3e11
AFFORDABLE_EPOCH = 3e11
AFFORDABLE_ENTRIES = 3_000_000


@dataclass
class SearchResult:
    """What a search found."""

    scorer: Scorer | None
    method: Method
    candidates: list[dict[str, Any]] = field(default_factory=list)
    reason: str = "it is what was asked for"
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Candidate:
    """A method, tried on the validation users."""

    method: Any
    scorers: list[Any] = field(default_factory=list)
    values: np.ndarray = field(default_factory=lambda: np.zeros(0))
    stop: int | None = None
    history: list[dict[str, Any]] = field(default_factory=list)


def validation_record(name: str, values: np.ndarray) -> dict[str, Any]:
    """Return how a candidate did on validation users, as it stands in ``candidates_``."""
    error = float(values.std() / np.sqrt(len(values)))
    return {"method": name, "ndcg@100": float(values.mean()), "error": error}


def fit_ranker(
    matrix: csr_array,
    method: Method | None,
    *,
    fraction: float | None,
    seed: int,
    device: torch.device,
    log: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> SearchResult:
    """Fit what ranks."""
    matrix = matrix[np.diff(matrix.indptr) > 0]
    search = _Search(matrix, make_folds(matrix, fraction, seed), seed, device, log)
    if method is None:
        return search.best()
    if isinstance(method, Ensemble):
        return search.ensemble(method)
    return search.single(method)


class _Search:
    """Candidates, tried on the same validation users."""

    def __init__(
        self, matrix: csr_array, folds: list[Fold], seed: int, device: torch.device, log: Callable[[str], None]
    ) -> None:
        self.matrix, self.folds, self.seed, self.device, self.log = matrix, folds, seed, device, log
        self.candidates: list[dict[str, Any]] = []
        self.linear: dict[Linear, np.ndarray] = {}

    def add(self, name: str, values: np.ndarray) -> None:
        """Keep how a candidate did."""
        if len(values):
            record = validation_record(name, values)
            self.candidates.append(record)
            self.log(
                f"{name}: NDCG@100 {record['ndcg@100']:.4f} ± {record['error']:.4f} on {len(values):,} validation users"
            )

    def measure(self, scorers: Iterable[Any]) -> np.ndarray:
        """Return NDCG@100 of all validation users, given a scorer for each fold."""
        found = [fold_ndcg(scorer, fold, self.device) for scorer, fold in zip(scorers, self.folds, strict=True)]
        return np.concatenate(found) if found else np.zeros(0)

    def single(self, method: Method) -> SearchResult:
        """Fit one method, as it was asked for."""
        candidate = self.try_out(method)
        candidate.scorers.clear()
        scorer, history = self.refit(candidate)
        return SearchResult(scorer, candidate.method, self.candidates, history=history)

    def ensemble(self, method: Ensemble) -> SearchResult:
        """Fit several methods and weigh them."""
        parts = [self.try_out(part) for part in method.parts]
        weights = [1.0]
        for number in range(1, len(parts)):
            weights.append(self.weigh(parts[:number], weights, parts[number])[0])
        return self.join(parts, weights, SearchResult.reason)

    def best(self) -> SearchResult:
        """Choose: the best single method, and on top of it whatever makes it significantly better."""
        if not self.folds:
            why = "there were too few users, or none held out, to choose by"
            return replace(self.single(Linear()), reason=why)
        self.add("popularity", self.measure(ConstantScorer(popularity_of(fold.train)) for fold in self.folds))
        singles, skipped = [self.try_out(Linear())], []
        if self.matrix.nnz <= AFFORDABLE_ENTRIES:
            singles.append(self.try_out(Factors()))
        else:
            skipped.append("factors")
        if 6.0 * self.matrix.shape[0] * work_of(self.matrix.shape[1], Multinomial()) <= AFFORDABLE_EPOCH:
            singles.append(self.try_out(Multinomial()))
        else:
            skipped.append("the network")
        chosen, weights = [_significantly_best(singles)], [1.0]
        alone = values = chosen[0].values
        others = [candidate for candidate in singles if candidate is not chosen[0]]
        while others:
            weighed = [self.weigh(chosen, weights, other) for other in others]
            best = max(range(len(others)), key=lambda number: weighed[number][1].mean())
            weight, both = weighed[best]
            # Models that err differently are better together nearly always, so less will do to join them.
            if not _is_significant(both - values, errors=0.5):
                break
            chosen, weights, values = [*chosen, others.pop(best)], [*weights, weight], both
        why = _reason(chosen, alone, values)
        if skipped:
            why += f"; {' and '.join(skipped)} would have taken long, and were not tried unasked"
        return self.join(chosen, weights, why)

    def join(self, parts: list[Candidate], weights: list[float], why: str) -> SearchResult:
        """Fit the parts to all users and put them together."""
        fitted = [self.refit(part) for part in parts]
        history = next((own for _, own in fitted if own), [])
        if len(parts) == 1:
            return SearchResult(fitted[0][0], parts[0].method, self.candidates, why, history)
        scorer = EnsembleScorer([scorer for scorer, _ in fitted], weights).to(self.device)
        method = Ensemble(tuple(part.method for part in parts))
        return SearchResult(scorer, method, self.candidates, why, history)

    def weigh(self, parts: list[Candidate], weights: list[float], other: Candidate) -> tuple[float, np.ndarray]:
        """Add a further part to some: return its weight, and NDCG@100 of all together."""
        if not self.folds:
            return WEIGHT_GRID[0], np.zeros(0)

        def joined(weight: float) -> np.ndarray:
            scorers = zip(*(part.scorers for part in [*parts, other]), strict=True)
            return self.measure(EnsembleScorer(own, [*weights, weight]).to(self.device) for own in scorers)

        best, values = WEIGHT_GRID[0], joined(WEIGHT_GRID[0])
        for weight in WEIGHT_GRID[1:]:
            more = joined(weight)
            if _is_significant(more - values):
                best, values = weight, more
        names = " + ".join(type(part.method).__name__.lower() for part in [*parts, other])
        self.add(f"ensemble ({names}, the last counting {best:g})", values)
        return best, values

    def try_out(self, method: Method) -> Candidate:
        """Try one method on the validation users."""
        if isinstance(method, Linear):
            return self.try_linear(method)
        if isinstance(method, Multinomial):
            return self.try_network(method)
        assert isinstance(method, Factors)
        scorers = [fit_factors(fold.train, method, self.seed).to(self.device) for fold in self.folds]
        values = self.measure(scorers)
        self.add("factors", values)
        return Candidate(method, scorers, values)

    def refit(self, candidate: Candidate) -> tuple[Scorer, list[dict[str, Any]]]:
        """Fit to all users as was best on the folds."""
        method = candidate.method
        if isinstance(method, Linear):
            return self.solve(self.matrix, method, trial=False), []
        if isinstance(method, Factors):
            return fit_factors(self.matrix, method, self.seed).to(self.device), []
        scorer, outcome = fit_multinomial(self.matrix, method, self.seed, self.device, stop=candidate.stop)
        return scorer, candidate.history or outcome.history

    def solve(self, matrix: csr_array, method: Linear, *, trial: bool = True) -> LinearScorer:
        """Solve for the weights of the linear method."""
        rank = None if isinstance(method.rank, str) else int(method.rank)
        found = fit_linear(matrix, float(method.l2), float(method.popularity), rank, self.seed, trial=trial)
        return found.to(self.device)

    def try_linear(self, asked: Linear) -> Candidate:
        """Find penalty and exponent, as far as they are left open."""
        l2s: tuple[float, ...] = L2_GRID if isinstance(asked.l2, str) else (float(asked.l2),)
        powers: tuple[float, ...] = POPULARITY_GRID if isinstance(asked.popularity, str) else (float(asked.popularity),)
        usual = replace(asked, l2=EASE_L2 if EASE_L2 in l2s else l2s[0], popularity=powers[0])
        if not self.folds:
            return Candidate(usual)
        if 2.0 * min(self.matrix.shape) ** 3 > AFFORDABLE_SEARCH:
            l2s, powers = l2s[1:3] or l2s, powers[:2]
        # Few users cannot tell close settings apart: what is usual stays unless another is significantly better.
        best = self.best_l2(usual, l2s)
        if not _is_significant(self.linear_values(best) - self.linear_values(usual)):
            best = usual
        for power in powers[1:]:
            # The best penalty hardly depends on the exponent, except for its being 0, which is EASE as it is known.
            other = replace(best, popularity=power)
            if power == 0:
                other = self.best_l2(other, l2s)
                self.add(f"EASE (l2={other.l2:g})", self.linear_values(other))
            if _is_significant(self.linear_values(other) - self.linear_values(best)):
                best = other
        values = self.linear_values(best)
        self.add(f"linear (l2={best.l2:g}, popularity={best.popularity:g})", values)
        return Candidate(best, [self.solve(fold.train, best) for fold in self.folds], values)

    def linear_values(self, method: Linear) -> np.ndarray:
        """Return NDCG@100 of all validation users, computed once for each setting."""
        if method not in self.linear:
            self.linear[method] = self.measure(self.solve(fold.train, method) for fold in self.folds)
        return self.linear[method]

    def best_l2(self, asked: Linear, l2s: tuple[float, ...]) -> Linear:
        """Return the best penalty of a grid, and beyond its ends as long as that is better."""
        methods = [replace(asked, l2=l2) for l2 in l2s]
        best = max(methods, key=lambda method: self.linear_values(method).mean())
        while len(l2s) == len(L2_GRID) and best.l2 in FURTHER_L2:
            further = replace(best, l2=FURTHER_L2[float(best.l2)])
            if self.linear_values(further).mean() <= self.linear_values(best).mean():
                break
            best = further
        return best

    def try_network(self, asked: Multinomial) -> Candidate:
        """Train on each fold, and see when it was best."""
        scorers, fractions, history = [], [], []
        for fold in self.folds:
            scorer, outcome = fit_multinomial(fold.train, asked, self.seed, self.device, fold=fold, log=self.log)
            scorers.append(scorer)
            # As a fraction of the budget: all users make more steps than those of a fold.
            fractions.append(outcome.evaluated[outcome.best] / train_plan(fold.train, asked).steps)
            history = outcome.history
        if not scorers:
            return Candidate(asked)
        values = self.measure(scorers)
        self.add(name_of(asked), values)
        stop = round(float(np.median(fractions)) * train_plan(self.matrix, asked).steps)
        return Candidate(asked, scorers, values, stop, history)


def _is_significant(differences: np.ndarray, errors: float = 1.0) -> bool:
    """Whether differences, user by user, are above 0 by more than a standard error, or a fraction of it."""
    return bool(differences.mean() > errors * differences.std() / np.sqrt(len(differences)))


def _significantly_best(candidates: list[Candidate]) -> Candidate:
    """Return the first, unless another is better by more than a standard error of the paired difference."""
    best = candidates[0]
    for other in candidates[1:]:
        if _is_significant(other.values - best.values):
            best = other
    return best


def _reason(chosen: list[Candidate], alone: np.ndarray, together: np.ndarray) -> str:
    name, users = type(chosen[0].method).__name__.lower(), f"on {len(alone):,} validation users"
    if len(chosen) == 1:
        return f"{users} nothing made the {name} model significantly better"
    gain = together - alone
    return f"{users} its NDCG@100 is {gain.mean():.4f} ± {gain.std() / np.sqrt(len(gain)):.4f} above the {name} model's"
