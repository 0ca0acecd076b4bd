"""From scores to the best items of each user, a block of users at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from scipy import sparse
from torch import nn

from narrows.recommend import queries
from narrows.recommend.scorers import ConstantScorer, bags_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from narrows.recommend.scorers import Bags

__all__ = ["Answering", "Best", "Scorer", "best_items", "choice_of", "recommended", "score_blocks", "similar"]

PAD_ROWS = 64


"""Blocks have a multiple of so many users: one alone is then computed as it would be among many."""


_BLOCK_NUMBERS = 2**24


class Scorer(Protocol):
    """Anything that scores all items for users; higher is better."""

    @property
    def n_items(self) -> int:
        """How many items there are."""
        ...

    def __call__(self, bags: Bags) -> Tensor:
        """Return scores, shape (n_users, n_items)."""
        ...


@dataclass(frozen=True)
class Best:
    """The best items of some users.

    Attributes
    ----------
    items : ndarray of int64, shape (n_users, k)
        Columns, best first; -1 where nothing is left to recommend.
    scores : ndarray of float32, shape (n_users, k)
        Their scores.
    """

    items: np.ndarray
    scores: np.ndarray


def score_blocks(
    scorer: Scorer, rows: sparse.csr_array, device: torch.device, block_rows: int | None = None
) -> Iterator[tuple[int, int, Tensor]]:
    """Yield the first user, the number of users and the scores of blocks of users.

    Parameters
    ----------
    scorer : Scorer
        What scores.
    rows : csr_array of shape (n_users, n_items)
        What each user has.
    device : torch.device
        Where to compute.
    block_rows : int, optional
        Users in a block.
    """
    size = block_rows or int(np.clip(_BLOCK_NUMBERS // max(1, scorer.n_items) // PAD_ROWS * PAD_ROWS, PAD_ROWS, 1024))
    with torch.no_grad():
        for start in range(0, rows.shape[0], size):
            part = rows[start : start + size]
            count = part.shape[0]
            if spare := -count % PAD_ROWS:
                nobody = sparse.csr_array((spare, part.shape[1]), dtype=part.dtype)
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
) -> Best:
    """Return the ``k`` best items of each user.

    Parameters
    ----------
    scorer : Scorer
        What scores.
    rows : csr_array of shape (n_users, n_items)
        What each user has.
    k : int
        How many.
    device : torch.device
        Where to compute.
    banned : csr_array, optional
        Items each user is not to get, those they have seen above all.
    allowed : ndarray of bool, shape (n_items,), optional
        Items anyone may get.
    """
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
    return Best(items, scores)


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


def scores_at(scorer: Any, rows: sparse.csr_array, pairs: tuple[np.ndarray, np.ndarray], device: Any) -> np.ndarray:
    """Return the scores of some (row, column) pairs only."""
    users, columns = pairs
    order = np.argsort(users, kind="stable")
    found = np.empty(len(users), np.float32)
    asked, where = np.unique(users[order], return_inverse=True)
    for start, count, scores in score_blocks(scorer, rows[asked], device):
        low, high = np.searchsorted(where, [start, start + count])
        chosen = order[low:high]
        picked = scores[torch.from_numpy(where[low:high] - start), torch.from_numpy(columns[chosen])]
        found[chosen] = picked.cpu().numpy()
    return found


class Answering(nn.Module):
    """What ranks, with the popular items for users without a history.

    Parameters
    ----------
    ranker : Module
        What ranks.
    shares : ndarray of shape (n_items,)
        The share of users who have each item.
    """

    def __init__(self, ranker: Any, shares: np.ndarray) -> None:
        super().__init__()
        self.ranker = ranker
        self.shares = torch.from_numpy(shares.astype(np.float32))

    @property
    def n_items(self) -> int:
        """How many items it scores."""
        return len(self.shares)

    def forward(self, bags: Bags) -> Tensor:
        """Return scores, shape (n_users, n_items)."""
        scores: Tensor = self.ranker(bags)
        scores[bags.counts == 0] = self.shares.to(scores)
        return scores


def choice_of(places: dict[Any, int], n_items: int, among: Any, exclude: Any) -> tuple[np.ndarray | None, list[Any]]:
    """Say which items may be recommended, and which of those asked for the model does not know.

    Returns
    -------
    allowed : ndarray of bool or None, shape (n_items,)
        None where all are.
    strange : list
        Ids in ``among`` that were never seen.
    """
    if among is None and exclude is None:
        return None, []
    allowed, strange = np.ones(n_items, bool), []
    if among is not None:
        ids = list(dict.fromkeys(queries.column_of_ids(among, "among")))
        found = queries.places_of(ids, places)
        allowed[:] = False
        allowed[found[found >= 0]] = True
        strange = [value for value, place in zip(ids, found, strict=True) if place < 0]
    if exclude is not None:
        left_out = queries.column_of_ids(exclude, "exclude")
        found = queries.places_of(left_out, places)
        allowed[found[found >= 0]] = False
        strange = [value for value in strange if value not in left_out]
    return allowed, strange


def recommended(
    scorer: Any,
    shares: np.ndarray,
    liked: sparse.csr_array,
    banned: sparse.csr_array | None,
    k: int,
    allowed: np.ndarray | None,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the best items of each user.

    Parameters
    ----------
    scorer : Module
        What ranks.
    shares : ndarray of shape (n_items,)
        The share of users who have each item.
    liked : csr_array of shape (n_users, n_items)
        What the scorer is told.
    banned : csr_array or None
        What users are not to get.
    k : int
        How many.
    allowed : ndarray of bool or None
        What anyone may get.
    device : torch.device
        Where to compute.

    Returns
    -------
    items, scores : ndarray of shape (n_users, k)
        Columns, -1 where there are no more, and their scores.
    cold : ndarray of bool, shape (n_users,)
        Who got the popular items, for want of a history.
    """
    best = best_items(scorer, liked, k, device, banned=banned, allowed=allowed)
    cold = np.diff(liked.indptr) == 0
    if cold.any():
        popular = ConstantScorer(torch.from_numpy(shares.astype(np.float32))).to(device)
        held = None if banned is None else banned[cold]
        other = best_items(popular, liked[cold], k, device, banned=held, allowed=allowed)
        best.items[cold], best.scores[cold] = other.items, other.scores
    return best.items, best.scores, cold


def columns_of(
    items: np.ndarray, found: np.ndarray, scores: np.ndarray, cold: np.ndarray, strange: list[list[Any]]
) -> dict[str, Any]:
    """Lay lists out as columns: ``row`` (the number of the user), ``item``, ``score``, ``rank`` and ``source``.

    Items never seen go to the end of lists that are too short, without a score: no one has taken them.

    Parameters
    ----------
    items : ndarray of shape (n_items,)
        Their ids.
    found, scores : ndarray of shape (n_users, k)
        Columns, -1 where there are no more, and their scores.
    cold : ndarray of bool, shape (n_users,)
        Who got the popular items.
    strange : list of list
        For each user, or for none, the items never seen that they may get.
    """
    there = found >= 0
    row, place = np.nonzero(there)
    columns: dict[str, Any] = {
        "row": row,
        "item": items[found[there]],
        "score": scores[there].astype(np.float64),
        "rank": place + 1,
        "source": np.where(cold[row], "popularity", "model"),
    }
    counts = there.sum(1)
    if not strange:
        return columns
    free = np.minimum([len(values) for values in strange], found.shape[1] - counts)
    strange_items = [value for values, room in zip(strange, free.tolist(), strict=True) for value in values[:room]]
    if not strange_items:
        return columns
    more = {
        "row": np.repeat(np.arange(len(counts)), free),
        "score": np.full(int(free.sum()), np.nan),
        "rank": np.concatenate([np.arange(n + 1, n + 1 + room) for n, room in zip(counts, free, strict=True)]),
        "source": np.full(int(free.sum()), "popularity"),
    }
    joined = {name: np.concatenate([part, more[name]]) for name, part in columns.items() if name != "item"}
    both: list[Any] = [*columns["item"].tolist(), *strange_items]
    joined["item"] = np.array(both, dtype=object)
    order = np.lexsort((joined["rank"], joined["row"]))
    return {name: joined[name][order] for name in columns}


def similar(scorer: Any, items: np.ndarray, places: np.ndarray, k: int) -> dict[str, Any]:
    """Return as columns the items most like some items."""
    scores = scorer.similar(torch.from_numpy(places)).float().cpu()
    scores[torch.arange(len(places)), torch.from_numpy(places)] = -torch.inf
    top = torch.topk(scores, k, dim=1)
    return {
        "item": np.repeat(items[places], k),
        "similar": items[top.indices.numpy().ravel()],
        "score": top.values.numpy().ravel().astype(np.float64),
        "rank": np.tile(np.arange(1, k + 1), len(places)),
    }
