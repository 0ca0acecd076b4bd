"""Parting a log into what is learned from and what is asked: by users, by time, by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.recommend.evaluation import hits_of, list_metrics
from narrows.recommend.interactions import Columns, Interactions, kept, read_interactions
from narrows.recommend.serving import best_items
from narrows.validation import check_number, resolve_seed

if TYPE_CHECKING:
    import torch
    from numpy.random import RandomState
    from scipy import sparse
    from scipy.sparse import csr_array

__all__ = ["Fold", "fold_in_split", "make_folds", "ndcg_of", "split_last", "split_random", "split_users"]


def fold_in_split(
    rows: sparse.csr_array, share: float, rng: np.random.Generator
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Hide a share of each user's items, at least one, and leave at least one.

    Returns
    -------
    told, asked : csr_array
        Together the rows given.
    """
    hidden = _drawn(np.diff(rows.indptr), share, rng)
    return kept(rows, ~hidden), kept(rows, hidden)


def _drawn(counts: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Say of each entry, ordered by users, whether it is among the share of its user's entries that is drawn."""
    ends = np.cumsum(counts)
    users = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((rng.random(int(counts.sum())), users))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - (ends - counts)[users]
    size = np.clip(np.round(share * counts).astype(np.int64), 1, np.maximum(counts - 1, 0))
    found: np.ndarray = place < np.where(counts > 1, size, 0)[users]
    return found


def split_users(
    ratings: Any,
    test_fraction: float = 0.2,
    *,
    held_out_fraction: float = 0.2,
    min_items: int = 5,
    columns: Columns | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Interactions, Interactions, Interactions]:
    """Hold out users, to see how well a model serves people it has never seen (strong generalisation).

    Parameters
    ----------
    ratings : frame, mapping, CSR matrix, path or Interactions
        The log.
    test_fraction : float, default 0.2
        Share of the users that are held out.
    held_out_fraction : float, default 0.2
        Share of a held-out user's items that are to be found; the others are the history that is told.
    min_items : int, default 5
        Users with fewer items are left out of the test, and stay in the training.
    columns : Columns, optional
        Which column holds what.
    random_state : int, RandomState or None
        Of the parting.

    Returns
    -------
    train, histories, held_out : Interactions
        To fit to; to tell of the held-out users; to ask of them. Give the last two to
        :meth:`narrows.Recommender.evaluate`.

    Examples
    --------
    >>> from narrows import datasets
    >>> from narrows.recommend import split_users
    >>> train, histories, held_out = split_users(datasets.make_ratings(100, 50, 2000, random_state=0), random_state=0)
    >>> len(train.users), len(histories.users)
    (80, 20)
    """
    _check_share("test_fraction", test_fraction)
    _check_share("held_out_fraction", held_out_fraction)
    check_number("min_items", min_items, integer=True, low=2)
    log = read_interactions(ratings, columns)
    rng = np.random.default_rng(resolve_seed(random_state))
    counts = np.diff(log.matrix.indptr)
    able = np.flatnonzero(counts >= min_items)
    size = round(test_fraction * len(able))
    if not 0 < size < len(counts):
        raise DataError(f"there are {len(able):,} users with {min_items} items or more: too few to hold some out")
    test = np.sort(rng.permutation(able)[:size])
    rest = np.setdiff1d(np.arange(len(counts)), test)
    asked = log.of_users(test)
    hidden = _drawn(counts[test], held_out_fraction, rng)
    return log.of_users(rest), asked.entries(~hidden), asked.entries(hidden)


def split_last(ratings: Any, n: int = 1, *, columns: Columns | None = None) -> tuple[Interactions, Interactions]:
    """Hold out what each user took last, to see whether a model finds what comes next.

    Parameters
    ----------
    ratings : frame, mapping, path or Interactions
        A log with times.
    n : int, default 1
        How many items of each user; users with no more than that keep all of theirs in the training.
    columns : Columns, optional
        Which column holds what.

    Returns
    -------
    train, held_out : Interactions

    Examples
    --------
    >>> from narrows.recommend import split_last
    >>> log = {"user": [1, 1, 1], "item": ["a", "b", "c"], "timestamp": [10, 30, 20]}
    >>> split_last(log)[1].columns()["item"].tolist()
    ['b']
    """
    check_number("n", n, integer=True, low=1)
    log = read_interactions(ratings, columns)
    if log.times is None:
        raise DataError("to hold out what came last, the log needs a column of times: name it in columns=")
    counts = np.diff(log.matrix.indptr)
    users = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((log.times, users))
    place = np.empty(len(order), np.int64)
    place[order] = np.cumsum(counts)[users] - np.arange(len(order)) - 1
    last = (place < n) & (counts > n)[users]
    if not last.any():
        raise DataError(f"no user has more than {n} items, so none can be held out")
    return log.entries(~last), log.entries(last)


def split_random(
    ratings: Any,
    test_fraction: float = 0.1,
    *,
    columns: Columns | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Interactions, Interactions]:
    """Hold out entries by chance, to see how far off predicted ratings are.

    Parameters
    ----------
    ratings : frame, mapping, CSR matrix, path or Interactions
        The log.
    test_fraction : float, default 0.1
        Share of all entries.
    columns : Columns, optional
        Which column holds what.
    random_state : int, RandomState or None
        Of the parting.

    Returns
    -------
    train, held_out : Interactions
        Both have all users and items.

    Examples
    --------
    >>> from narrows.recommend import split_random
    >>> from narrows import datasets
    >>> train, held_out = split_random(datasets.make_ratings(100, 50, 2000, random_state=0), random_state=0)
    >>> len(train), len(held_out)
    (1800, 200)
    """
    _check_share("test_fraction", test_fraction)
    log = read_interactions(ratings, columns)
    size = round(test_fraction * len(log))
    if not 0 < size < len(log):
        raise DataError(f"of {len(log):,} entries a share of {test_fraction:g} cannot be held out")
    held = np.zeros(len(log), bool)
    held[np.random.default_rng(resolve_seed(random_state)).permutation(len(log))[:size]] = True
    return log.entries(~held), log.entries(held)


def _check_share(name: str, value: Any) -> None:
    check_number(name, value, low=0, high=1, open_low=True)


LEAST_USERS = 30


LENGTH = 100


MOST_VALIDATION_NUMBERS = 50_000_000


MOST_VALIDATION_USERS = 2000


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
        told, asked = fold_in_split(matrix[part[:limit]], 0.2, rng)
        folds.append(Fold(matrix[rest], told, asked))
    return folds
