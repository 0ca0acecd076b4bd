"""Measures of ranked lists, per user.

All take the places of the items that were held out, among the items a user has not seen: NDCG with the gains 1 and 0
(Järvelin and Kekäläinen 2002), recall, precision, average precision and hits. Where fewer than ``k`` items were held
out, the best that could be reached counts as 1: the denominators have ``min(k, n)``, as in Liang et al. 2018.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["ERRORS", "LISTS", "METRICS", "hits_of", "list_metrics", "parse_metric"]

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
