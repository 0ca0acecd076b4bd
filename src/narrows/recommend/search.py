"""Fitting and choosing what ranks, on validation users: part of their items is the fold-in, the rest held out."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from narrows.errors import NotBetterThanBaselineWarning
from narrows.recommend.evaluation import fold_ndcg
from narrows.recommend.linear import EASE_L2, exact_solver, fit_factors, fit_linear
from narrows.recommend.methods import Ensemble, Factors, Linear, Method, Multinomial
from narrows.recommend.multinomial import fit_multinomial, name_of, train_plan, work_of
from narrows.recommend.scorers import ConstantScorer, EnsembleScorer, Scorer, popularity_of
from narrows.recommend.splits import Fold, make_folds

L2_GRID = (25.0, 50.0, EASE_L2, 200.0, 500.0, 1000.0, 2000.0)
LEAST_ITEMS, MOST_ITEMS, ENOUGH_USERS = 300, 3000, 300
WEIGHT_GRID = (0.5, 1.0)
"""How much a further part counts in an ensemble."""

AFFORDABLE_SEARCH = 1e11
AFFORDABLE_EPOCH = 3e11
AFFORDABLE_ENTRIES = 3_000_000


@dataclass
class SearchResult:
    """What a search found: what ranks (None where predicted ratings do), how it was chosen, and what was tried."""

    scorer: Scorer | None
    method: Method
    candidates: list[dict[str, Any]] = field(default_factory=list)
    reason: str = "it is what was asked for"
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Candidate:
    """A method, tried on the validation users: its scorer on each fold, and NDCG@100 of all users."""

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
    log: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> SearchResult:
    """Fit what ranks."""
    matrix = matrix[np.diff(matrix.indptr) > 0]
    search = _Search(matrix, fraction, seed, device, log)
    return search.best() if method is None else search.asked(method)


class _Search:
    """Candidates, tried on the same validation users."""

    def __init__(
        self, matrix: csr_array, fraction: float | None, seed: int, device: torch.device, log: Callable[[str], None]
    ) -> None:
        self.matrix, self.fraction, self.seed, self.device, self.log = matrix, fraction, seed, device, log
        self.folds = make_folds(matrix, fraction, seed)
        self.candidates: list[dict[str, Any]] = []

    def add(self, name: str, values: np.ndarray) -> None:
        """Keep how a candidate did on validation users, as it stands in ``candidates_``."""
        if len(values):
            mean, error = float(values.mean()), float(values.std() / np.sqrt(len(values)))
            self.candidates.append({"method": name, "ndcg@100": mean, "error": error})
            self.log(f"{name}: NDCG@100 {mean:.4f} ± {error:.4f} on {len(values):,} validation users")

    def measure(self, scorers: Iterable[Any], folds: list[Fold] | None = None) -> np.ndarray:
        """Return NDCG@100 of all validation users, given a scorer for each fold."""
        folds = self.folds if folds is None else folds
        found = [fold_ndcg(scorer, fold, self.device) for scorer, fold in zip(scorers, folds, strict=True)]
        return np.concatenate(found) if found else np.zeros(0)

    def asked(self, method: Method) -> SearchResult:
        """Fit one method, or weigh and fit several, as asked for."""
        if isinstance(method, Linear):
            chosen, tried = self.choose_l2(method, among_all=False)
            for name, values in tried.items():
                self.add(name, values)
            return self.join([Candidate(chosen, [], np.zeros(0))], [1.0], SearchResult.reason)
        parts = [self.try_out(part) for part in (method.parts if isinstance(method, Ensemble) else (method,))]
        weights = [1.0]
        for number in range(1, len(parts)):
            weights.append(self.weigh(parts[:number], weights, parts[number])[0])
        return self.join(parts, weights, SearchResult.reason)

    def best(self) -> SearchResult:
        """Choose: the best single method, and on top of it whatever makes it significantly better."""
        if not self.folds:
            why = "there were too few users, or none held out, to choose by"
            return replace(self.asked(Linear()), reason=why)
        self.add("popularity", self.measure(ConstantScorer(popularity_of(fold.train)) for fold in self.folds))
        linear = self.try_out(Linear())
        # The best penalty hardly depends on the exponent, except for its being 0, which is EASE as it is known.
        for other in (self.choose_l2(Linear(popularity=0.0))[0], replace(linear.method, popularity=0.25)):
            linear = _significantly_best([linear, self.try_fits(other)])
        singles, skipped = [linear], []
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
        scorers, history = [], []
        for part in parts:
            part.scorers.clear()
            if isinstance(part.method, Multinomial):
                scorer, outcome = fit_multinomial(self.matrix, part.method, self.seed, self.device, stop=part.stop)
                history = part.history or outcome.history
            scorers.append(scorer if isinstance(part.method, Multinomial) else self.fit(self.matrix, part.method))
        if len(parts) == 1:
            return SearchResult(scorers[0], parts[0].method, self.candidates, why, history)
        joined = EnsembleScorer(scorers, weights).to(self.device)
        return SearchResult(joined, Ensemble(tuple(part.method for part in parts)), self.candidates, why, history)

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
        if isinstance(method, Multinomial):
            return self.try_network(method)
        if isinstance(method, Linear):
            method = self.choose_l2(method)[0]
        return self.try_fits(method)

    def fit(self, matrix: csr_array, method: Any) -> Scorer:
        """Fit what is found without steps."""
        if isinstance(method, Factors):
            return fit_factors(matrix, method, self.seed).to(self.device)
        rank = None if isinstance(method.rank, str) else int(method.rank)
        return fit_linear(matrix, float(method.l2), float(method.popularity), rank, self.seed).to(self.device)

    def try_fits(self, method: Method) -> Candidate:
        """Fit on each fold."""
        scorers = [self.fit(fold.train, method) for fold in self.folds]
        values = self.measure(scorers)
        self.add(_name(method), values)
        return Candidate(method, scorers, values)

    def solvers(self, asked: Linear, *, among_all: bool) -> tuple[list[Fold], list[Callable[[float], Scorer]]]:
        """Return folds to choose a penalty on, and what solves for a penalty on each.

        To solve for a fraction of the items costs the cube of that fraction, so that all trials among the items taken
        most take less than half as long as the fit; what is best for these is so for all, or nearly.
        """
        n_users, n_items = self.matrix.shape
        if among_all and 2.0 * min(n_users, n_items) ** 3 <= AFFORDABLE_SEARCH:

            def of(fold: Fold) -> Callable[[float], Scorer]:
                return lambda l2: self.fit(fold.train, replace(asked, l2=l2))

            return self.folds, [of(fold) for fold in self.folds]
        size = int(np.clip(2 * n_users // 3 if n_users < n_items else n_items // 4, LEAST_ITEMS, MOST_ITEMS))
        counts = np.bincount(self.matrix.indices, minlength=n_items)
        matrix = self.matrix[:, np.sort(np.argsort(-counts, kind="stable")[:size])]
        folds = make_folds(matrix[np.diff(matrix.indptr) > 0], self.fraction, self.seed)
        folds = folds[: -(-ENOUGH_USERS // folds[0].fold_in.shape[0])] if folds else []
        return folds, [exact_solver(fold.train, float(asked.popularity)) for fold in folds]

    def choose_l2(self, asked: Linear, *, among_all: bool = True) -> tuple[Linear, dict[str, np.ndarray]]:
        """Choose the penalty, and return NDCG@100 of all that was tried."""
        folds, solvers = self.solvers(asked, among_all=among_all)
        usual = EASE_L2 if isinstance(asked.l2, str) else float(asked.l2)
        if not folds:
            return replace(asked, l2=usual), {}
        found: dict[float, np.ndarray] = {}

        def value(l2: float) -> float:
            if l2 not in found:
                found[l2] = self.measure((solve(l2).to(self.device) for solve in solvers), folds)
            return float(found[l2].mean())

        best = usual
        if isinstance(asked.l2, str):
            place = L2_GRID.index(usual)
            # Upwards as long as that is better, or else downwards.
            for step in (1, -1):
                while 0 <= place + step < len(L2_GRID) and value(L2_GRID[place + step]) > value(L2_GRID[place]):
                    place += step
            # Few users cannot tell close penalties apart: what is usual stays unless another is significantly better.
            if _is_significant(found[L2_GRID[place]] - found[usual]):
                best = L2_GRID[place]
        value(best)
        popular = self.measure((ConstantScorer(popularity_of(fold.train)) for fold in folds), folds)
        return replace(asked, l2=best), {"popularity": popular} | {
            _name(replace(asked, l2=l2)): values for l2, values in found.items()
        }

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
            return Candidate(asked, [], np.zeros(0))
        values = self.measure(scorers)
        self.add(name_of(asked), values)
        stop = round(float(np.median(fractions)) * train_plan(self.matrix, asked).steps)
        return Candidate(asked, scorers, values, stop, history)


def _is_significant(differences: np.ndarray, errors: float = 1.0) -> bool:
    """Whether differences, user by user, are above 0 by more than a standard error, or a fraction of it."""
    return bool(differences.mean() > errors * differences.std() / np.sqrt(len(differences)))


def _name(method: Any) -> str:
    if isinstance(method, Factors):
        return "factors"
    exponent = f", popularity={method.popularity:g}" if method.popularity else ""
    return f"{'linear' if exponent else 'EASE'} (l2={method.l2:g}{exponent})"


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


def baselines_of(candidates: list[dict[str, Any]]) -> dict[str, float]:
    """Return what the best candidate and the baselines reached on the validation users; warn if it is not better."""
    found = {candidate["method"]: float(candidate["ndcg@100"]) for candidate in candidates}
    others = [value for name, value in found.items() if name != "popularity"]
    if not others:
        return {}
    baselines = {"model": max(others)}
    baselines |= {
        name.partition(" (")[0]: value for name, value in found.items() if name.startswith(("popularity", "EASE"))
    }
    if baselines["model"] <= baselines.get("popularity", -1.0):
        warnings.warn(
            f"on validation users no model ranks better than popularity (NDCG@100 {baselines['popularity']:.4f}): the "
            "log may be too small to learn tastes from",
            NotBetterThanBaselineWarning,
            stacklevel=4,
        )
    return baselines
