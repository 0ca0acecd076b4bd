"""What a fitted recommender does for its users: finds their rows, and lays out what they are recommended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator

from narrows.errors import DataError
from narrows.recommend import queries, serving
from narrows.recommend.interactions import Columns, Interactions, kept, plain, positives_of, read_interactions
from narrows.recommend.serving import scores_at
from narrows.validation import check_number, resolve_device

if TYPE_CHECKING:
    from scipy import sparse

    from narrows.recommend.methods import Method

__all__ = ["Served"]


class Served(BaseEstimator):
    """The part of :class:`narrows.Recommender` that knows users' rows."""

    _ranker: Any
    _rater: Any
    _biases: Any
    _log: Interactions | None
    _ease: Any
    _names: Columns | None
    _user_places: dict[Any, int] | None
    method_: Method
    _means: np.ndarray | None
    _shares: np.ndarray
    _places: dict[Any, int]
    _frames: str
    items_: np.ndarray
    titles_: dict[Any, str]
    positive_from_: float | None
    user: str
    item: str
    rating: str | None
    timestamp: str | None
    device: str

    def _columns(self) -> Columns:
        return Columns(self.user, self.item, self.rating, self.timestamp)

    def _take_items(self, items: np.ndarray) -> None:
        self.items_ = items
        self._places = {plain(item): place for place, item in enumerate(items)}

    def _liked(self, matrix: sparse.csr_array, *, rated: bool) -> sparse.csr_array:
        """Return ones where an item is liked."""
        return positives_of(matrix, self.positive_from_ if rated else None)

    def _told(self, rows: sparse.csr_array, *, rated: bool) -> sparse.csr_array:
        """Return what the ranker is told: liked items that others liked too; of the rest it has learned nothing."""
        liked = self._liked(rows, rated=rated)
        return kept(liked, self._shares[liked.indices] > 0)

    def _foretold(self, rows: sparse.csr_array, row: np.ndarray, items: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return the ratings predicted for pairs of rows and items, and whether the model knows the item.

        An item never seen gets the mean of all ratings.
        """
        column = queries.places_of(items, self._places)
        known = column >= 0
        found = np.full(len(items), float(self._rater.mean))
        found[known] = scores_at(self._rater, rows, (row[known], column[known]), resolve_device(self.device))
        return found, known

    def _read(self, data: Any) -> Interactions:
        """Read a log as that of the fit was read."""
        rated = True if self._rater is not None else None
        return read_interactions(data, self._columns(), known=self._names, rated=rated)

    def _known(self, histories: Any) -> Interactions:
        """Return the log to take users from."""
        if histories is not None:
            return self._read(histories)
        if self._log is None:
            raise DataError(
                "a model file holds no one's ratings: hand the users' histories in, as histories=, or use recommend_for"
            )
        return self._log

    def _rows(self, users: Any, histories: Any) -> tuple[list[Any], sparse.csr_array, bool]:
        """Return ids of users, and their rows on the model's items; users without a history get an empty row."""
        log = self._known(histories)
        # The log of the fit is on the model's items already.
        matrix = log.matrix if log is self._log else log.on_items(self._places, len(self.items_))[0]
        if users is None:
            return [plain(user) for user in log.users], matrix, log.rated
        ids = queries.column_of_ids(users, "users")
        found = queries.places_of(ids, self._places_of_users(log))
        if ids and (found < 0).all() and len(log.users):
            kinds = type(ids[0]).__name__, type(plain(log.users[0])).__name__
            if kinds[0] != kinds[1]:
                raise DataError(f"the users asked for are of type {kinds[0]}, those of the log of type {kinds[1]}")
        return ids, queries.rows_or_none(matrix, found), log.rated

    def _places_of_users(self, log: Interactions) -> dict[Any, int]:
        if log is not self._log:
            return {plain(user): row for row, user in enumerate(log.users)}
        if self._user_places is None:
            self._user_places = {plain(user): row for row, user in enumerate(log.users)}
        return self._user_places

    def _recommended(
        self,
        rows: sparse.csr_array,
        k: int,
        *,
        rated: bool,
        seen: bool,
        among: Any,
        exclude: Any,
        own: list[set[Any]] | None = None,
    ) -> dict[str, Any]:
        """Return the recommendations as columns; ``row`` is the number of the user.

        ``own`` are the items each user has that the model does not know.
        """
        check_number("k", k, integer=True, low=1)
        allowed, asked = serving.choice_of(self._places, len(self.items_), among, exclude)
        k = min(k, len(self.items_) + len(asked))
        strange = (
            [[value for value in asked if value not in has] for has in own or [set()] * rows.shape[0]] if asked else []
        )
        scorer, told = self._ranker, self._told(rows, rated=rated)
        if scorer is None:
            # Ratings foretell ratings: a history without any tells nothing.
            scorer, told = self._rater, queries.ratings_in(rows, rated=rated)
        device = resolve_device(self.device)
        best = serving.recommended(scorer, self._shares, told, rows if seen else None, k, allowed, device)
        columns = serving.columns_of(self.items_, *best, strange)
        source = columns.pop("source")
        if self.titles_:
            columns["title"] = self._titles(columns["item"])
        return columns | {"source": source}

    def _titles(self, items: Any) -> np.ndarray:
        return np.array([self.titles_.get(plain(item), "") for item in items], dtype=object)
