"""How good recommendations and predicted ratings are on what was held out, the baselines beside.

The metrics of ranked lists are per user, and take the places of the held-out items among the items a user has not
seen: NDCG with the gains 1 and 0 (Järvelin and Kekäläinen 2002), recall, precision, average precision and hits. Where
fewer than ``k`` items were held out, the best that could be reached counts as 1: the denominators have ``min(k, n)``,
as in Liang et al. 2018.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from narrows.data.libraries import frame_of
from narrows.recommend.interactions import Interactions, rows_of, select_entries
from narrows.recommend.scorers import Scorer, best_items, scores_at
from narrows.recommend.splits import Fold

LIST_METRICS = ("ndcg", "recall", "precision", "map", "hit_rate", "coverage", "novelty")
ERROR_METRICS = ("rmse", "mae")
METRICS = ("ndcg@100", "recall@20", "precision@10", "map@10", "hit_rate@10", "coverage@10", "novelty@10", "rmse", "mae")
"""What :meth:`narrows.Recommender.evaluate` tells by default."""

VALIDATION_LENGTH = 100


@dataclass(frozen=True)
class Evaluation:
    """What :meth:`narrows.Recommender.evaluate` found.

    Attributes
    ----------
    values : dict of str to dict of str to float
        Of each method, the model first, its metrics; NaN where one makes no sense.
    per_user : dict of str to dict of str to ndarray
        The metrics of lists for each user, to compare methods in pairs; in the order of ``users``.
    users : ndarray
        The ids of the users with something to find.
    n_cold : int
        Held-out entries of items that the model has never seen, which are left out.
    """

    values: dict[str, dict[str, float]]
    per_user: dict[str, dict[str, np.ndarray]]
    users: np.ndarray
    n_cold: int

    def to_frame(self) -> Any:
        """Return a pandas frame: a row for each method, a column for each metric."""
        names = list(next(iter(self.values.values())))
        columns: dict[str, Any] = {"method": list(self.values)}
        columns |= {name: [found[name] for found in self.values.values()] for name in names}
        return frame_of(columns, "pandas")

    def __str__(self) -> str:
        names = list(next(iter(self.values.values())))
        width = max(len(method) for method in self.values) + 2
        lines = [" " * width + "  ".join(f"{name:>11}" for name in names)]
        for method, found in self.values.items():
            cells = ("-" if np.isnan(found[name]) else f"{found[name]:.4f}" for name in names)
            lines.append(f"{method:<{width}}" + "  ".join(f"{cell:>11}" for cell in cells))
        note = f"; {self.n_cold:,} held-out entries are of items never seen, and left out" if self.n_cold else ""
        if not len(self.users):
            note += "; no held-out entry is liked, of an item the model knows, and not in the history already"
        return "\n".join([*lines, f"{len(self.users):,} users{note}"])


def evaluate(
    metrics: list[str],
    rankers: dict[str, tuple[Scorer, csr_array]],
    raters: dict[str, Scorer],
    *,
    own: Interactions,
    held_out: Interactions,
    relevant: csr_array,
    popularity: np.ndarray,
    device: torch.device,
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, np.ndarray]], np.ndarray]:
    """Measure some methods on what users have, what was held out, and what of that is to be found."""
    parsed = {name: parse_metric(name) for name in metrics}
    users = np.flatnonzero(np.diff(relevant.indptr))
    methods = dict.fromkeys([*rankers, *raters])
    values = {method: dict.fromkeys(parsed, float("nan")) for method in methods}
    per_user: dict[str, dict[str, np.ndarray]] = {method: {} for method in methods}
    lists = {name: metric for name, metric in parsed.items() if metric[0] in LIST_METRICS}
    longest = max((min(k, relevant.shape[1]) for _, k in lists.values()), default=0)
    for method, (scorer, queries) in rankers.items() if lists and len(users) else ():
        top, _ = best_items(scorer.to(device), queries[users], longest, device, banned=own.matrix[users])
        hits, n_relevant = hits_of(top, relevant[users]), np.diff(relevant.indptr)[users]
        for name, (kind, k) in lists.items():
            if kind == "coverage":
                values[method][name] = coverage(top[:, :k], scorer.n_items)
            else:
                novel = kind == "novelty"
                found = novelty(top[:, :k], popularity) if novel else list_metric(kind, k, hits, n_relevant)
                per_user[method][name] = found
                values[method][name] = float(found.mean())
    errors = {name: kind for name, (kind, _) in parsed.items() if kind in ERROR_METRICS}
    pairs = held_out.rows, held_out.matrix.indices
    for method, scorer in raters.items() if errors and len(held_out) else ():
        off = scores_at(scorer.to(device), own.ratings, pairs, device).astype(np.float64) - held_out.matrix.data
        for name, kind in errors.items():
            values[method][name] = float(np.sqrt(np.mean(off**2)) if kind == "rmse" else np.mean(np.abs(off)))
    return values, per_user, users


def fold_ndcg(scorer: Any, fold: Fold, device: torch.device) -> np.ndarray:
    """Return NDCG@100 for each validation user."""
    top, _ = best_items(scorer, fold.fold_in, VALIDATION_LENGTH, device, banned=fold.fold_in)
    return list_metric("ndcg", VALIDATION_LENGTH, hits_of(top, fold.held_out), np.diff(fold.held_out.indptr))


def unseen(relevant: csr_array, seen: csr_array) -> csr_array:
    """Return what is relevant less what users have already, which is never recommended."""
    return select_entries(relevant, ~_contains(seen, rows_of(relevant), relevant.indices))


def _contains(matrix: csr_array, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Say which places of a matrix hold an entry."""
    there = np.sort(rows_of(matrix).astype(np.int64) * matrix.shape[1] + matrix.indices)
    wanted = rows.astype(np.int64) * matrix.shape[1] + columns
    place = np.minimum(np.searchsorted(there, wanted), max(0, len(there) - 1))
    return there[place] == wanted if len(there) else np.zeros(wanted.shape, bool)


def parse_metric(name: str) -> tuple[str, int]:
    """Split ``"ndcg@100"`` into a name and a length; 0 for errors of ratings, 10 where none is given."""
    matched = re.fullmatch(r"([a-z_]+)(?:@([1-9][0-9]*))?", name) if isinstance(name, str) else None
    kind = matched.group(1) if matched else ""
    if matched is None or kind not in LIST_METRICS + ERROR_METRICS or (kind in ERROR_METRICS and matched.group(2)):
        known = ", ".join([*(f"{kind}@k" for kind in LIST_METRICS), *ERROR_METRICS])
        raise ValueError(f"metric {name!r} is unknown; known are {known}")
    return kind, 0 if kind in ERROR_METRICS else int(matched.group(2) or 10)


def hits_of(top: np.ndarray, held_out: csr_array) -> np.ndarray:
    """Say which of the recommended items (n_users, k), -1 where there are no more, were held out."""
    return _contains(held_out, np.arange(len(top))[:, None], top) & (top >= 0)


def list_metric(kind: str, k: int, hits: np.ndarray, n_held_out: np.ndarray) -> np.ndarray:
    """Return a metric of each user's list."""
    found = hits[:, :k].astype(np.float64)
    most = np.minimum(n_held_out, k)
    if kind == "recall":
        return found.sum(1) / most
    if kind == "precision":
        return found.sum(1) / k
    if kind == "hit_rate":
        return (found.sum(1) > 0).astype(np.float64)
    ranks = np.arange(1, found.shape[1] + 1)
    if kind == "map":
        return (found * found.cumsum(1) / ranks).sum(1) / most
    gains = 1.0 / np.log2(ranks + 1)
    ideal = np.concatenate([[1.0], 1.0 / np.log2(np.arange(2, k + 1) + 1)]).cumsum()
    return (found * gains).sum(1) / ideal[most - 1]


def coverage(top: np.ndarray, n_items: int) -> float:
    """Return the fraction of all items that is recommended to anyone."""
    return len(np.unique(top[top >= 0])) / n_items


def novelty(top: np.ndarray, popularity: np.ndarray) -> Any:
    """Return for each user the mean surprise of what is recommended, minus log2 of the popularity."""
    surprise = -np.log2(np.maximum(popularity, 1e-12))
    there = top >= 0
    return np.where(there, surprise[np.maximum(top, 0)], 0.0).sum(1) / np.maximum(1, there.sum(1))
