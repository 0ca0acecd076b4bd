"""How good recommendations and predicted ratings are on what was held out, the simple answers beside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.recommend.queries import frame_of
from narrows.recommend.scorers import ConstantScorer
from narrows.recommend.serving import best_items, scores_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scipy.sparse import csr_array

__all__ = ["ERRORS", "LISTS", "METRICS", "Evaluation", "evaluate", "hits_of", "list_metrics", "parse_metric"]


@dataclass(frozen=True)
class Evaluation:
    """What :meth:`narrows.Recommender.evaluate` found.

    Attributes
    ----------
    values : dict of str to dict of str to float
        Of each way to recommend, the model first, its metrics; NaN where one makes no sense.
    per_user : dict of str to dict of str to ndarray
        The metrics of lists for each user, to compare ways in pairs; in the order of ``users``.
    users : ndarray
        The ids of the users asked.
    n_cold : int
        Held-out entries of items that the model has never seen, which are left out.
    """

    values: dict[str, dict[str, float]]
    per_user: dict[str, dict[str, np.ndarray]]
    users: np.ndarray
    n_cold: int

    def to_frame(self) -> Any:
        """Return a pandas frame: a row for each way, a column for each metric."""
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


@dataclass(frozen=True)
class Asked:
    """What an evaluation is made of, all on the model's items.

    Attributes
    ----------
    rows, rated : csr_array
        Of each user the history; and its ratings, nothing where it has none.
    held_out, relevant : csr_array
        What was held out, with values; the part that counts as liked.
    shares : ndarray
        The share of users who have each item.
    """

    rows: csr_array
    rated: csr_array
    held_out: csr_array
    relevant: csr_array
    shares: np.ndarray


def evaluate(
    asked: Asked,
    metrics: Iterable[str],
    rankers: dict[str, Any],
    raters: dict[str, Any],
    device: torch.device,
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, np.ndarray]], np.ndarray]:
    """Measure some ways to recommend.

    Parameters
    ----------
    asked : Asked
        What is asked.
    metrics : iterable of str
        See :data:`narrows.recommend.evaluation.METRICS`.
    rankers : dict of str to (scorer, csr_array)
        What ranks, and what it is told of the users, by name.
    raters : dict of str to scorer
        What predicts ratings, by name; the names are put together.
    device : torch.device
        Where to compute.

    Returns
    -------
    values, per_user : dict
        As in :class:`Evaluation`.
    users : ndarray of int
        The rows with something relevant to find.
    """
    parsed = {name: parse_metric(name) for name in metrics}
    lists = {name: metric for name, metric in parsed.items() if metric[0] in LISTS}
    longest = max((min(k, asked.rows.shape[1]) for _, k in lists.values()), default=0)
    users = np.flatnonzero(np.diff(asked.relevant.indptr))
    names = list(dict.fromkeys([*rankers, *raters]))
    values = {way: dict.fromkeys(parsed, float("nan")) for way in names}
    per_user: dict[str, dict[str, np.ndarray]] = {way: {} for way in names}
    relevant = asked.relevant[users]
    for way, (scorer, told) in rankers.items() if lists and len(users) else ():
        best = best_items(scorer.to(device), told[users], longest, device, banned=asked.rows[users])
        hits = hits_of(best.items, relevant)
        for name, (kind, k) in lists.items():
            top = best.items[:, :k]
            if kind == "coverage":
                values[way][name] = coverage(top, scorer.n_items)
                continue
            found = (
                novelty(top, asked.shares)
                if kind == "novelty"
                else list_metrics(kind, k, hits, np.diff(relevant.indptr))
            )
            per_user[way][name] = found
            values[way][name] = float(found.mean())
    if errors := {name: kind for name, (kind, _) in parsed.items() if kind in ERRORS}:
        pairs = np.repeat(np.arange(asked.held_out.shape[0]), np.diff(asked.held_out.indptr)), asked.held_out.indices
        for way, scorer in raters.items() if len(pairs[0]) else ():
            off = scores_at(scorer.to(device), asked.rated, pairs, device).astype(np.float64) - asked.held_out.data
            for name, kind in errors.items():
                values[way][name] = float(np.sqrt(np.mean(off**2)) if kind == "rmse" else np.mean(np.abs(off)))
    return values, per_user, users


def unseen(relevant: csr_array, rows: csr_array) -> csr_array:
    """Return what is relevant less what users have already, which is never recommended."""
    # A rating of 0 is an entry as any other.
    had = rows.copy()
    had.data = np.ones_like(had.data)
    found = (relevant - relevant.multiply(had)).tocsr()
    found.eliminate_zeros()
    found.sort_indices()
    return found


def simple_rankers(shares: np.ndarray, means: np.ndarray | None) -> dict[str, Any]:
    """Return what ranks without knowing the user."""
    found = {"popularity": ConstantScorer(torch.from_numpy(shares.astype(np.float32)))}
    if means is not None:
        found["item means"] = ConstantScorer(torch.from_numpy(means.astype(np.float32)))
    return found


def simple_raters(means: np.ndarray | None, biases: Any) -> dict[str, Any]:
    """Return what predicts ratings without much thought."""
    if means is None:
        return {}
    return {
        "item means": ConstantScorer(torch.from_numpy(means.astype(np.float32))),
        "zero table": ConstantScorer(torch.zeros(len(means))),
        "user and item bias": biases,
    }


LISTS = ("ndcg", "recall", "precision", "map", "hit_rate", "coverage", "novelty")


ERRORS = ("rmse", "mae")


METRICS = ("ndcg@100", "recall@20", "precision@10", "map@10", "hit_rate@10", "coverage@10", "novelty@10", "rmse", "mae")


"""What :meth:`narrows.Recommender.evaluate` tells by default."""


def parse_metric(name: str) -> tuple[str, int]:
    """Part ``"ndcg@100"`` into a name and a length; 0 for errors of ratings, 10 where none is told.

    Raises
    ------
    ValueError
        If there is no such metric.
    """
    matched = re.fullmatch(r"([a-z_]+)(?:@([1-9][0-9]*))?", name) if isinstance(name, str) else None
    kind = matched.group(1) if matched else ""
    if matched is None or kind not in LISTS + ERRORS or (kind in ERRORS and matched.group(2)):
        known = ", ".join([*(f"{kind}@k" for kind in LISTS), *ERRORS])
        raise ValueError(f"metric {name!r} is unknown; known are {known}")
    return kind, 0 if kind in ERRORS else int(matched.group(2) or 10)


def hits_of(top: np.ndarray, held_out: csr_array) -> np.ndarray:
    """Say which of the recommended items were held out.

    Parameters
    ----------
    top : ndarray of int, shape (n_users, k)
        Columns, best first; -1 where there was nothing more to recommend.
    held_out : csr_array of shape (n_users, n_items)
        What was to be found.

    Returns
    -------
    ndarray of bool, shape (n_users, k)
    """
    n_items = held_out.shape[1]
    users = np.repeat(np.arange(held_out.shape[0], dtype=np.int64), np.diff(held_out.indptr))
    there = np.sort(users * n_items + held_out.indices)
    asked = np.where(top >= 0, np.arange(len(top), dtype=np.int64)[:, None] * n_items + top, -1)
    place = np.minimum(np.searchsorted(there, asked), max(0, len(there) - 1))
    return (there[place] == asked) & (top >= 0) if len(there) else np.zeros(top.shape, bool)


def list_metrics(kind: str, k: int, hits: np.ndarray, n_held_out: np.ndarray) -> np.ndarray:
    """Return a measure of each user's list.

    Parameters
    ----------
    kind : {"ndcg", "recall", "precision", "map", "hit_rate"}
        Which.
    k : int
        Length of the list.
    hits : ndarray of bool, shape (n_users, at least k or all items)
        As of :func:`hits_of`.
    n_held_out : ndarray of int, shape (n_users,)
        How many items were held out, at least 1.
    """
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
    """Return the share of all items that is recommended to anyone."""
    return len(np.unique(top[top >= 0])) / n_items


def novelty(top: np.ndarray, shares: np.ndarray) -> Any:
    """Return for each user the mean surprise of what is recommended: minus log2 of the share of users who have it."""
    surprise = -np.log2(np.maximum(shares, 1e-12))
    there = top >= 0
    return np.where(there, surprise[np.maximum(top, 0)], 0.0).sum(1) / np.maximum(1, there.sum(1))
