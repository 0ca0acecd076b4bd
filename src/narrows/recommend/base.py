"""What a fitted recommender does for its users: finds their rows, lists items for them, predicts their ratings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import sparse

from narrows.errors import DataError
from narrows.estimator.base import FittedEstimator
from narrows.recommend.ids import Ids, object_array
from narrows.recommend.interactions import Columns, Interactions, positives_of, read_interactions, select_entries
from narrows.recommend.linear import EASE_L2, fit_linear
from narrows.recommend.methods import Method, Rating
from narrows.recommend.queries import read_history, select_users
from narrows.recommend.rating import RatingScorer, fit_rating
from narrows.recommend.scorers import (
    BiasScorer,
    ConstantScorer,
    PopularityFallback,
    Scorer,
    best_items,
    list_columns,
    scores_at,
)
from narrows.validation import check_number, resolve_device


@dataclass
class FittedState:
    """What a fit found besides the public attributes; what predicts ratings is fitted to the log when first needed."""

    items: Ids
    names: Columns | None
    library: str
    popularity: np.ndarray
    ranker: Any = None
    rater: RatingScorer | None = None
    item_means: Any = None
    biases: BiasScorer | None = None
    log: Interactions | None = None
    ease: Scorer | None = None
    seed: int = 0


class BaseRecommender(FittedEstimator):
    """The part of :class:`narrows.Recommender` that knows users' rows; these are on the columns of ``items_``."""

    _fitted_attribute = "_state"

    _state: FittedState
    method: Any
    method_: Method
    titles_: dict[Any, str]
    positive_from_: float | None
    rating_scale_: tuple[float, float, float] | None
    user: str | None
    item: str | None
    rating: str | None
    timestamp: str | None
    device: str
    verbose: bool

    @property
    def _columns(self) -> Columns:
        return Columns(self.user, self.item, self.rating, self.timestamp)

    @property
    def _device(self) -> torch.device:
        return resolve_device(self.device)

    @property
    def items_(self) -> np.ndarray:
        """The ids of the items."""
        return self._state.items.values

    @property
    def item_index_(self) -> dict[Any, int]:
        """The column of each item, by id."""
        return self._state.items.index

    def _print(self, line: str) -> None:
        if self.verbose:
            print(line, flush=True)

    @property
    def rater(self) -> RatingScorer:
        """What predicts ratings: fitted when it is first needed, which not everyone does."""
        state = self._state
        if state.rater is None:
            assert state.log is not None
            options = self.method_ if isinstance(self.method_, Rating) else Rating()
            state.rater = fit_rating(state.log.matrix, options, seed=state.seed, log=self._print).to(self._device)
        return state.rater

    @property
    def ranker(self) -> Any:
        """What ranks, and knows which items are similar."""
        return self.rater if self._state.ranker is None else self._state.ranker

    def read_log(self, data: Any) -> Interactions:
        """Read a log as that of the fit was read."""
        rated = True if self.rating_scale_ is not None else None
        return read_interactions(data, self._columns, known=self._state.names, rated=rated)

    def rows_of_users(self, users: Any, histories: Any = None) -> Interactions:
        """Return what users have, on the model's items; nothing where a user has no history.

        The histories are those of the fit, while its log is in memory, or of a log that is handed in.
        """
        log = self._state.log if histories is None else self.read_log(histories).align(self._state.items)
        if log is None:
            raise DataError(
                "a model file holds no one's ratings: hand the users' histories in, as histories=, or use recommend_for"
            )
        return log if users is None else select_users(log, users)

    def rows_of_history(self, history: Any) -> Interactions:
        """Return the row of one user, of whom only the history is known, on the model's items."""
        log = read_history(history, self._columns, self._state.names, rated=self.rating_scale_ is not None)
        # A title that is of one item only may stand for its id.
        index, counts = self.item_index_, Counter(self.titles_.values())
        owners = {title: item for item, title in self.titles_.items() if counts[title] == 1}
        items = [item if item in index else owners.get(item, item) for item in log.items.tolist()]
        return replace(log, items=object_array(items)).align(self._state.items, "the history")

    def positives(self, log: Interactions) -> sparse.csr_array:
        """Return ones where an item is liked."""
        return positives_of(log.matrix, self.positive_from_ if log.rated else None)

    def liked_inputs(self, log: Interactions) -> sparse.csr_array:
        """Return liked items that others liked too: of the rest a ranker has learned nothing."""
        liked = self.positives(log)
        return select_entries(liked, self._state.popularity[liked.indices] > 0)

    def rank_inputs(self, log: Interactions) -> sparse.csr_array:
        """Return what the ranker is given of users' rows."""
        # Ratings predict ratings: a history without any tells nothing.
        return log.ratings if self._state.ranker is None else self.liked_inputs(log)

    def scorer(self) -> Scorer:
        """Return what ranks, with what is popular for users without a history."""
        return PopularityFallback(self.ranker, self._state.popularity).to(self._device)

    def baseline_rankers(self) -> dict[str, Scorer]:
        """Return what lists are compared with; EASE as long as the log of the fit is there to fit it to."""
        state = self._state
        found: dict[str, Scorer] = {"popularity": ConstantScorer(state.popularity)}
        if state.item_means is not None:
            found["item means"] = ConstantScorer(state.item_means)
        if state.ease is None and state.log is not None:
            liked = self.positives(state.log)
            state.ease = fit_linear(liked[np.diff(liked.indptr) > 0], EASE_L2, 0.0)
        if state.ease is not None:
            found["EASE"] = PopularityFallback(state.ease, state.popularity)
        return found

    def recommend_rows(
        self, log: Interactions, k: int, *, exclude_seen: bool = True, among: Any = None, exclude: Any = None
    ) -> dict[str, Any]:
        """Return the best items of users' rows as columns; ``row`` is the number of the user."""
        check_number("k", k, integer=True, low=1)
        allowed = np.full(len(self.items_), among is None)
        for name, ids, value in (("among", among, True), ("exclude", exclude, False)):
            if ids is not None:
                places = self._state.items.places(ids, name)
                allowed[places[places >= 0]] = value
        inputs = self.rank_inputs(log)
        most, banned = min(k, len(self.items_)), log.matrix if exclude_seen else None
        some = None if allowed.all() else allowed
        best = best_items(self.scorer(), inputs, most, self._device, banned=banned, allowed=some)
        columns: dict[str, Any] = list_columns(self.items_, *best)
        if self.titles_:
            columns["title"] = self.titles_of(columns["item"])
        cold = np.diff(inputs.indptr) == 0
        return columns | {"source": np.where(cold[columns["row"]], "popularity", "model")}

    def predict_rows(self, log: Interactions, row: np.ndarray, items: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return the ratings predicted for pairs of rows and items, and where they come from."""
        assert self.rating_scale_ is not None
        rows, column = log.ratings, self._state.items.places(items, "items")
        known = column >= 0
        # An item never seen gets the mean of all ratings.
        found = np.full(len(items), self.rating_scale_[1])
        found[known] = scores_at(self.rater, rows, (row[known], column[known]), self._device)
        return found, np.where(known, np.where(np.diff(rows.indptr)[row] > 0, "model", "item"), "mean")

    def titles_of(self, items: np.ndarray) -> np.ndarray:
        """Return the titles of items, empty where there is none."""
        return np.array([self.titles_.get(item, "") for item in items.tolist()], dtype=object)
