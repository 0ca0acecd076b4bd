"""Splitting a log into what is learned from and what is held out: by users, by time, at random."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import RandomState
from scipy import sparse

from narrows.errors import DataError
from narrows.recommend.interactions import Columns, Interactions, read_interactions, select_entries
from narrows.validation import check_number, resolve_seed

MIN_ITEMS = 5
LEAST_USERS = 30
MOST_VALIDATION_NUMBERS = 50_000_000
MOST_VALIDATION_USERS = 2000


@dataclass(frozen=True)
class Fold:
    """Users to train on (``train``), and users to validate on: their histories (``fold_in``) and what is held out."""

    train: sparse.csr_array
    fold_in: sparse.csr_array
    held_out: sparse.csr_array


def make_folds(matrix: sparse.csr_array, fraction: float | None, seed: int) -> list[Fold]:
    """Split users into those to train on and those to validate on."""
    able = np.flatnonzero(np.diff(matrix.indptr) >= MIN_ITEMS)
    if fraction == 0 or len(able) < LEAST_USERS:
        return []
    rng = np.random.default_rng(seed)
    order = rng.permutation(able)
    if fraction is None and len(able) < 3000:
        parts = np.array_split(order, 5 if len(able) < 1000 else 3)
    else:
        parts = [order[: max(1, round((fraction or 0.1) * len(able)))]]
    limit = min(MOST_VALIDATION_USERS, max(100, MOST_VALIDATION_NUMBERS // matrix.shape[1]))
    folds = []
    for part in parts:
        rest, rows = np.ones(matrix.shape[0], bool), matrix[part[:limit]]
        rest[part[:limit]] = False
        hidden = _drawn(np.diff(rows.indptr), 0.2, rng)
        folds.append(Fold(matrix[rest], select_entries(rows, ~hidden), select_entries(rows, hidden)))
    return folds


def _drawn(counts: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Say of each entry, ordered by users, whether it is drawn: a fraction of each user's, one at least and not all."""
    starts = np.cumsum(counts) - counts
    users = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((rng.random(int(counts.sum())), users))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - starts[users]
    size = np.clip(np.round(fraction * counts).astype(np.int64), 1, np.maximum(counts - 1, 0))
    found: np.ndarray = place < np.where(counts > 1, size, 0)[users]
    return found


def split_users(
    ratings: Any,
    test_fraction: float = 0.2,
    *,
    held_out_fraction: float = 0.2,
    min_items: int = MIN_ITEMS,
    columns: Columns | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Interactions, Interactions, Interactions]:
    """Hold out users, to see how well a model serves people it has never seen (strong generalisation).

    Parameters
    ----------
    ratings : frame, mapping, CSR matrix, path or Interactions
        The log.
    test_fraction : float, default 0.2
        Fraction of the users that are held out.
    held_out_fraction : float, default 0.2
        Fraction of a held-out user's items that are to be found; the others are the history (the fold-in).
    min_items : int, default 5
        Users with fewer items are left out of the test, and stay in the training.
    columns : Columns, optional
        Which column holds what.
    random_state : int, RandomState or None
        Of the split.

    Returns
    -------
    train, histories, held_out : Interactions
        To fit to; the histories of the held-out users; what is to be found. Give the last two to
        :meth:`narrows.Recommender.evaluate`.

    Examples
    --------
    >>> from narrows import datasets
    >>> from narrows.recommend import split_users
    >>> train, histories, held_out = split_users(datasets.make_ratings(100, 50, 2000, random_state=0), random_state=0)
    >>> len(train.users), len(histories.users)
    (80, 20)
    """
    check_number("test_fraction", test_fraction, high=1, open_low=True)
    check_number("held_out_fraction", held_out_fraction, high=1, open_low=True)
    check_number("min_items", min_items, integer=True, low=2)
    log = read_interactions(ratings, columns)
    rng = np.random.default_rng(resolve_seed(random_state))
    counts = np.diff(log.matrix.indptr)
    able = np.flatnonzero(counts >= min_items)
    size = round(test_fraction * len(able))
    if not 0 < size < len(counts):
        raise DataError(f"there are {len(able):,} users with {min_items} items or more: too few to hold some out")
    test = np.sort(rng.permutation(able)[:size])
    queries = log.select_users(test)
    hidden = _drawn(counts[test], held_out_fraction, rng)
    train = log.select_users(np.setdiff1d(np.arange(len(counts)), test))
    return train, queries.select_entries(~hidden), queries.select_entries(hidden)


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
    counts, users = np.diff(log.matrix.indptr), log.rows
    order = np.lexsort((log.times, users))
    from_end = np.empty(len(order), np.int64)
    from_end[order] = np.cumsum(counts)[users] - np.arange(len(order)) - 1
    last = (from_end < n) & (counts > n)[users]
    if not last.any():
        raise DataError(f"no user has more than {n} items, so none can be held out")
    return log.select_entries(~last), log.select_entries(last)


def split_random(
    ratings: Any,
    test_fraction: float = 0.1,
    *,
    columns: Columns | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Interactions, Interactions]:
    """Hold out entries at random, to see how far off predicted ratings are.

    Parameters
    ----------
    ratings : frame, mapping, CSR matrix, path or Interactions
        The log.
    test_fraction : float, default 0.1
        Fraction of all entries.
    columns : Columns, optional
        Which column holds what.
    random_state : int, RandomState or None
        Of the split.

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
    check_number("test_fraction", test_fraction, high=1, open_low=True)
    log = read_interactions(ratings, columns)
    size = round(test_fraction * len(log))
    if not 0 < size < len(log):
        raise DataError(f"of {len(log):,} entries a fraction of {test_fraction:g} cannot be held out")
    held = np.zeros(len(log), bool)
    held[np.random.default_rng(resolve_seed(random_state)).permutation(len(log))[:size]] = True
    return log.select_entries(~held), log.select_entries(held)
