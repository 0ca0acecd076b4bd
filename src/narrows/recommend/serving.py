"""From scores to the best items of each user, a block of users at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from narrows.recommend.scorers import Scorer, bags_of

__all__ = ["best_items", "list_columns", "score_blocks", "scores_at", "similar_columns"]

PAD_ROWS = 64
"""Blocks have a multiple of so many users: one alone is then computed as it would be among many."""

_BLOCK_NUMBERS = 2**24


def score_blocks(
    scorer: Scorer, rows: sparse.csr_array, device: torch.device, block_rows: int | None = None
) -> Iterator[tuple[int, int, Tensor]]:
    """Yield the first user, the number of users and the scores of blocks of users."""
    size = block_rows or int(np.clip(_BLOCK_NUMBERS // max(1, scorer.n_items) // PAD_ROWS * PAD_ROWS, PAD_ROWS, 1024))
    with torch.no_grad():
        for start in range(0, rows.shape[0], size):
            part = rows[start : start + size]
            count = part.shape[0]
            if padding := -count % PAD_ROWS:
                nobody = sparse.csr_array((padding, part.shape[1]), dtype=part.dtype)
                part = sparse.vstack([part, nobody], format="csr")
            yield start, count, scorer(bags_of(part).to(device))[:count]


def best_items(
    scorer: Scorer,
    rows: sparse.csr_array,
    k: int,
    device: torch.device,
    *,
    banned: sparse.csr_array | None = None,
    allowed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ``k`` best items of each user, and their scores."""
    most = min(k, scorer.n_items)
    items = np.full((rows.shape[0], k), -1, np.int64)
    scores = np.full((rows.shape[0], k), np.nan, np.float32)
    out = None if allowed is None else torch.from_numpy(~allowed).to(device)
    for start, count, found in score_blocks(scorer, rows, device):
        if banned is not None:
            part = bags_of(banned[start : start + count]).to(device)
            found[part.users, part.items] = -torch.inf
        if out is not None:
            found[:, out] = -torch.inf
        values, places = _top(found, most)
        there = (values > -torch.inf).cpu().numpy()
        items[start : start + count, :most] = np.where(there, places.cpu().numpy(), -1)
        scores[start : start + count, :most] = np.where(there, values.cpu().numpy(), np.nan)
    return items, scores


def _top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the ``k`` largest of each row and their places; of equals the first, whatever ``k`` is."""
    found = torch.topk(scores, min(k + 1, scores.shape[1]), dim=1)
    values, places = found.values[:, :k], found.indices[:, :k]
    equal = (found.values[:, 1:] == found.values[:, :-1]) & (found.values[:, 1:] > -torch.inf)
    tied = equal.any(1).nonzero()[:, 0]
    if len(tied):
        ordered = scores[tied].sort(dim=1, descending=True, stable=True)
        values[tied], places[tied] = ordered.values[:, :k], ordered.indices[:, :k]
    return values, places


def scores_at(
    scorer: Scorer, rows: sparse.csr_array, pairs: tuple[np.ndarray, np.ndarray], device: torch.device
) -> np.ndarray:
    """Return the scores of some (row, column) pairs only."""
    users, columns = pairs
    order = np.argsort(users, kind="stable")
    found = np.empty(len(users), np.float32)
    needed, where = np.unique(users[order], return_inverse=True)
    for start, count, scores in score_blocks(scorer, rows[needed], device):
        low, high = np.searchsorted(where, [start, start + count])
        chosen = order[low:high]
        picked = scores[torch.from_numpy(where[low:high] - start), torch.from_numpy(columns[chosen])]
        found[chosen] = picked.cpu().numpy()
    return found


def list_columns(ids: np.ndarray, items: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Lay out what :func:`best_items` gave as columns: ``row`` (the number of the user), item, score and rank."""
    row, place = np.nonzero(items >= 0)
    score = scores[row, place].astype(np.float64)
    return {"row": row, "item": ids[items[row, place]], "score": score, "rank": place + 1}


def similar_columns(scorer: Any, ids: np.ndarray, places: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """Return as columns the ``k`` items most similar to each of some items."""
    scores = scorer.similar(torch.from_numpy(places)).float().cpu()
    scores[torch.arange(len(places)), torch.from_numpy(places)] = -torch.inf
    top = torch.topk(scores, k, dim=1)
    return {
        "item": np.repeat(ids[places], k),
        "similar": ids[top.indices.numpy().ravel()],
        "score": top.values.numpy().ravel().astype(np.float64),
        "rank": np.tile(np.arange(1, k + 1), len(places)),
    }
