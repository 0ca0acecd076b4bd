"""What the recommender scripts share: data, splits by users, ranking metrics, popularity and EASE as references.

The data are those of ``NARROWS_DATA``: MovieLens latest-small (ratings of 4 and more), lastfm-hetrec (the union of its
three files) and citeulike-a. The protocol is strong generalisation, as in Liang et al., "Variational Autoencoders for
Collaborative Filtering" (2018): test users are new to the model; a part of what they like is told, the rest is to be
found.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NAMES = ("movielens-small", "lastfm", "citeulike")
LEAST_POSITIVES = 5
LEAST_USERS = 100
L2_GRID = (10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)
BLOCK = 256

# What recommender_peers.py is run with: the best by NDCG@100 on validation users, of seeds 0 to 2 for the small sets
# and of seed 0 for citeulike. als: 64 to 512 factors, regularization 1 to 100, alpha 1 to 100. Mult-VAE: batches of 100
# and 500 (but for lastfm: 100), up to 100 epochs (seed 0 alone for lastfm), where the curve had levelled off.
PEER_OPTIONS = {
    "movielens-small": "--factors 256 --regularization 10 --alpha 3 --batch 100 --epochs 60",
    "lastfm": "--factors 256 --regularization 30 --alpha 10 --batch 100 --epochs 50",
    "citeulike": "--factors 512 --regularization 30 --alpha 30 --batch 100 --epochs 50",
}


def positives(name: str, folder: str | Path) -> csr_array:
    """Return what each user likes: users × items, float32 ones.

    Parameters
    ----------
    name : {"movielens-small", "lastfm", "citeulike"}
    folder : path
        Where the folders of the data sets are.
    """
    folder = Path(folder)
    if name == "movielens-small":
        with (folder / "ml-latest-small" / "ratings.csv").open(newline="") as file:
            rows = csv.DictReader(file)
            pairs = [(int(row["userId"]), int(row["movieId"])) for row in rows if float(row["rating"]) >= 4]
    elif name == "lastfm":
        parts = [folder / "lastfm-hetrec" / f"{part}.txt" for part in ("train", "valid", "test")]
        lines = [numbers for part in parts for numbers in _lines(part)]
        pairs = [(user, item) for user, *items in lines for item in items]
    elif name == "citeulike":
        users = enumerate(_lines(folder / "citeulike-a" / "users.dat"))
        pairs = [(user, item) for user, (_count, *items) in users for item in items]
    else:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}.")
    return _ones(pairs)


def _lines(path: Path) -> Iterator[list[int]]:
    for line in path.read_text().splitlines():
        if line.strip():
            yield [int(number) for number in line.split()]


def _ones(pairs: Iterable[tuple[int, int]]) -> csr_array:
    # Users and items are numbered in the order of their ids; a pair that occurs twice counts once.
    users, items = np.unique(np.array(list(pairs)), axis=0).T
    user_ids, rows = np.unique(users, return_inverse=True)
    item_ids, columns = np.unique(items, return_inverse=True)
    return csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(user_ids), len(item_ids)))


@dataclass(frozen=True)
class Split:
    """Users to learn from and users to recommend to, over the same items.

    Attributes
    ----------
    train : csr_array of shape (n_train_users, n_items)
    fold_in : csr_array of shape (n_test_users, n_items)
        What is told of the test users.
    held_out : csr_array of shape (n_test_users, n_items)
        What is to be found; no pair of it is in ``fold_in``.
    """

    train: csr_array
    fold_in: csr_array
    held_out: csr_array


def strong_split(
    matrix: csr_array, seed: int, n_test_users: int | None = None, fraction: float = 0.2, told: float = 0.8
) -> Split:
    """Split by users: the test users' rows are not seen in training.

    Users with fewer than five positives are left out, and so are, everywhere, items that no training user likes, and
    test users with fewer than two positives among the items left. Of each test user 80 % of the positives are told, at
    random, and at least one is on each side.

    Parameters
    ----------
    matrix : csr_array of shape (n_users, n_items)
    seed : int
    n_test_users : int, optional
        By default ``fraction`` of the users, but at least 100. Validation users are carved from ``train`` by the same
        function: :func:`validation_split`.
    fraction : float, default=0.2
    told : float, default=0.8
        The share of a test user's positives that is folded in.
    """
    rng = np.random.default_rng(seed)
    matrix = matrix[np.flatnonzero(np.diff(matrix.indptr) >= LEAST_POSITIVES)]
    n_users = matrix.shape[0]
    n_test = n_test_users if n_test_users is not None else max(round(fraction * n_users), LEAST_USERS)
    if not 0 < n_test < n_users:
        raise ValueError(f"{n_test} test users are asked for, and there are {n_users} users.")
    order = rng.permutation(n_users)
    test, train = matrix[np.sort(order[:n_test])], matrix[np.sort(order[n_test:])]
    known = np.flatnonzero(np.bincount(train.indices, minlength=matrix.shape[1]))
    train, test = train[:, known], test[:, known]
    test = test[np.flatnonzero(np.diff(test.indptr) >= 2)]
    return Split(train, *_fold(test, told, rng))


def validation_split(train: csr_array, seed: int) -> Split:
    """Carve validation users from training users: an eighth, which is 10 % of all users, but at least 100."""
    return strong_split(train, seed, fraction=0.125)


def _fold(test: csr_array, told: float, rng: np.random.Generator) -> tuple[csr_array, csr_array]:
    counts = np.diff(test.indptr)
    users = np.repeat(np.arange(len(counts)), counts)
    # The rank of a random number among those of the same user; the lowest ranks are held out.
    order = np.lexsort((rng.random(len(users)), users))
    rank = np.empty(len(users), int)
    rank[order] = np.arange(len(users)) - test.indptr[users]
    n_held = np.clip(np.round((1 - told) * counts).astype(int), 1, counts - 1)
    held = rank < n_held[users]
    parts = [(users[mask], test.indices[mask]) for mask in (~held, held)]
    fold_in, held_out = (csr_array((np.ones(len(at[0]), np.float32), at), shape=test.shape) for at in parts)
    return fold_in, held_out


def write(split: Split, path: str | Path) -> None:
    """Write what a peer may see, ``train`` and ``fold_in``, as the npz file that recommender_peers.py reads."""
    parts = {"train": split.train, "fold_in": split.fold_in}
    arrays = {f"{name}_{key}": getattr(part, key) for name, part in parts.items() for key in ("indptr", "indices")}
    np.savez(path, n_items=split.train.shape[1], **arrays)


def ndcg(scores: np.ndarray, fold_in: csr_array, held_out: csr_array, k: int = 100) -> np.ndarray:
    """Return each user's normalised discounted cumulative gain among the first ``k``.

    The ideal has ``min(k, held-out items)`` hits. Items told are never recommended; of equal scores the item with the
    lower number comes first.
    """
    hits = _hits(scores, fold_in, held_out, k)
    weights = 1 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))[np.minimum(np.diff(held_out.indptr), k) - 1]
    return hits @ weights / ideal


def recall(scores: np.ndarray, fold_in: csr_array, held_out: csr_array, k: int = 20) -> np.ndarray:
    """Return each user's share of held-out items among the first ``k``, of ``min(k, held-out items)``."""
    return _hits(scores, fold_in, held_out, k).sum(1) / np.minimum(np.diff(held_out.indptr), k)


def _hits(scores: np.ndarray, fold_in: csr_array, held_out: csr_array, k: int) -> np.ndarray:
    # (n_users, k), true where the item recommended at that place is one that was held out.
    if scores.shape != fold_in.shape or fold_in.shape != held_out.shape:
        raise ValueError(f"Scores have shape {scores.shape}, the users' items {fold_in.shape} and {held_out.shape}.")
    if not np.diff(held_out.indptr).all():
        raise ValueError("Every user must have at least one item held out.")
    k = min(k, scores.shape[1])
    found = np.empty((len(scores), k), bool)
    for start in range(0, len(scores), BLOCK):
        rows = slice(start, start + BLOCK)
        block = scores[rows].astype(np.float32)
        if np.isnan(block).any():
            raise ValueError("Scores must not be NaN.")
        told = fold_in[rows].tocoo()
        block[told.row, told.col] = -np.inf
        found[rows] = np.take_along_axis(held_out[rows].toarray() > 0, _first(block, k), 1)
    return found


def _first(block: np.ndarray, k: int) -> np.ndarray:
    # argpartition picks among equals as it likes, so it only tells the k-th score: all above it are taken, and of those
    # equal to it the first ones.
    kth = -np.partition(-block, k - 1, axis=1)[:, k - 1 : k]
    above, equal = block > kth, block == kth
    taken = above | (equal & (equal.cumsum(1) <= k - above.sum(1, keepdims=True)))
    items = np.nonzero(taken)[1].reshape(len(block), k)
    order = np.argsort(-np.take_along_axis(block, items, 1), axis=1, kind="stable")
    return np.take_along_axis(items, order, 1)


def popularity(split: Split) -> np.ndarray:
    """Score every item by how many training users like it, for all test users alike."""
    counts = np.bincount(split.train.indices, minlength=split.train.shape[1]).astype(np.float32)
    return np.tile(counts, (split.fold_in.shape[0], 1))


def ease(split: Split, l2: float) -> np.ndarray:
    """Score with EASE (Steck 2019): a ridge regression of every item on all others, in closed form.

    With ``P`` the inverse of ``X'X + l2 I``, the scores of rows ``F`` are ``F - FP / diag(P)``. Where there are fewer
    users than items, ``P`` comes from the inverse of the smaller ``XX' + l2 I``.
    """
    X, F = split.train.astype(np.float64), split.fold_in.astype(np.float64)
    n_users, n_items = X.shape
    if n_users < n_items:
        inverse = _inverse(X @ X.T, l2)
        XT = X.T.tocsr()
        blocks = [XT[start : start + 1024] for start in range(0, n_items, 1024)]
        leverage = np.concatenate([part.multiply(part @ inverse).sum(1) for part in blocks])
        FP = (F.toarray() - (X.T @ ((F @ X.T) @ inverse).T).T) / l2
        diagonal = (1 - leverage) / l2
    else:
        inverse = _inverse(X.T @ X, l2)
        FP, diagonal = F @ inverse, np.diag(inverse)
    return (F.toarray() - FP / diagonal).astype(np.float32)


def _inverse(gram: csr_array, l2: float) -> np.ndarray:
    dense = gram.toarray()
    dense[np.diag_indices_from(dense)] += l2
    factor, failed = dpotrf(dense, lower=1)
    if failed:
        raise np.linalg.LinAlgError(f"The Gram matrix is not positive definite with l2={l2:g}.")
    inverse = dpotri(factor, lower=1)[0]
    return np.tril(inverse) + np.tril(inverse, -1).T


def tuned_ease(split: Split, seed: int, grid: Sequence[float] = L2_GRID) -> tuple[np.ndarray, float]:
    """Score with EASE, its l2 the best of the grid by NDCG@100 on validation users, then fitted to all of train.

    Returns
    -------
    scores : array of shape (n_test_users, n_items)
    l2 : float
    """
    inner = validation_split(split.train, seed)
    quality = [float(ndcg(ease(inner, l2), inner.fold_in, inner.held_out).mean()) for l2 in grid]
    best = grid[int(np.argmax(quality))]
    return ease(split, best), best


def paired(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the mean of ``a - b`` and its standard error over users, pooled over seeds.

    Each argument has one array of per-user values a seed, in the same order. A user who is a test user under several
    seeds counts as often, so the error is a little too small.
    """
    first, second = (np.concatenate([np.atleast_1d(part) for part in parts]) for parts in (a, b))
    difference = first - second
    return float(difference.mean()), float(difference.std(ddof=1) / len(difference) ** 0.5)
