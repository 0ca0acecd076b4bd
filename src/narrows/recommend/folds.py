"""Users to train on and users to choose by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.recommend.ranking import hits_of, list_metrics
from narrows.recommend.serving import best_items
from narrows.recommend.splits import told_and_asked

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array

__all__ = ["Fold", "make_folds", "ndcg_of"]

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
        told, asked = told_and_asked(matrix[part[:limit]], 0.2, rng)
        folds.append(Fold(matrix[rest], told, asked))
    return folds
