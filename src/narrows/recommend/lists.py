"""The recommendations of some users as columns: from the model, or what is popular where it has nothing to go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from narrows.recommend import asking
from narrows.recommend.serving import best_items
from narrows.recommend.simple import ConstantScorer

if TYPE_CHECKING:
    from scipy import sparse
    from torch import Tensor

    from narrows.recommend.bags import Bags

__all__ = ["Answering", "choice_of", "recommended", "similar"]


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
        ids = list(dict.fromkeys(asking.column_of_ids(among, "among")))
        found = asking.places_of(ids, places)
        allowed[:] = False
        allowed[found[found >= 0]] = True
        strange = [value for value, place in zip(ids, found, strict=True) if place < 0]
    if exclude is not None:
        left_out = asking.column_of_ids(exclude, "exclude")
        found = asking.places_of(left_out, places)
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
