"""What a fitted recommender does for its users: finds their rows, lists items for them, predicts their ratings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.estimator.base import FittedEstimator
from narrows.recommend import queries
from narrows.recommend.interactions import Columns, Interactions, plain, positives_of, read_interactions, select_entries
from narrows.recommend.methods import Method, Rating
from narrows.recommend.rating import RatingScorer, fit_rating
from narrows.recommend.scorers import PopularityFallback, Scorer
from narrows.recommend.serving import best_items, list_columns, scores_at
from narrows.validation import check_number, resolve_device

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["BaseRecommender"]


class BaseRecommender(FittedEstimator):
    """The part of :class:`narrows.Recommender` that knows users' rows; these are on the columns of ``items_``."""

    _fitted_attribute = "items_"

    _ranker: Any
    _rater: RatingScorer | None
    _biases: Any
    _item_means: Any
    _popularity: np.ndarray
    _log: Interactions | None
    _ease: Any
    _seed: int
    _names: Columns | None
    _user_index: dict[Any, int] | None
    _library: str
    method: Any
    method_: Method
    items_: np.ndarray
    item_index_: dict[Any, int]
    titles_: dict[Any, str]
    positive_from_: float | None
    rating_scale_: tuple[float, float, float] | None
    candidates_: list[dict[str, Any]]
    baselines_: dict[str, float]
    reason_: str
    history_: list[dict[str, Any]]
    user: str
    item: str
    rating: str | None
    timestamp: str | None
    device: str
    verbose: bool

    def _columns(self) -> Columns:
        return Columns(self.user, self.item, self.rating, self.timestamp)

    def _set_items(self, items: np.ndarray) -> None:
        self.items_ = items
        self.item_index_ = {plain(item): place for place, item in enumerate(items)}

    def _print(self, line: str) -> None:
        if self.verbose:
            print(line, flush=True)

    def _rating_scorer(self) -> RatingScorer:
        """Return what predicts ratings: fitted when it is first needed, which not everyone does."""
        if self._rater is None:
            assert self._log is not None
            options = self.method_ if isinstance(self.method_, Rating) else Rating()
            found = fit_rating(self._log.matrix, options, seed=self._seed, log=self._print)
            self._rater = found.to(resolve_device(self.device))
        return self._rater

    def positives(self, rows: sparse.csr_array, *, rated: bool) -> sparse.csr_array:
        """Return ones where an item is liked."""
        return positives_of(rows, self.positive_from_ if rated else None)

    def read_histories(self, data: Any) -> Interactions:
        """Read a log as that of the fit was read; its items must be of the type of the model's."""
        rated = True if self.rating_scale_ is not None else None
        log = read_interactions(data, self._columns(), known=self._names, rated=rated)
        queries.check_id_type(map(plain, log.items[:1]), self.item_index_, "the log")
        return log

    def rows_of_users(self, users: Any, histories: Any = None) -> tuple[list[Any], sparse.csr_array, bool]:
        """Return ids of users, their rows (an empty one without a history), and whether these hold ratings.

        The histories are those of the fit, while its log is in memory, or of a log that is handed in.
        """
        log = self._log if histories is None else self.read_histories(histories)
        if log is None:
            raise DataError(
                "a model file holds no one's ratings: hand the users' histories in, as histories=, or use recommend_for"
            )
        # The log of the fit is on the model's items already.
        own = log is self._log
        matrix = log.matrix if own else log.align(self.item_index_)[0]
        if users is None:
            return [plain(user) for user in log.users], matrix, log.rated
        index = self._user_index if own else None
        if index is None:
            index = {plain(user): row for row, user in enumerate(log.users)}
        if own:
            self._user_index = index
        ids = queries.id_list(users, "users")
        queries.check_id_type(ids, index, "users")
        return ids, queries.rows_or_empty(matrix, queries.places_of(ids, index)), log.rated

    def rows_of_history(self, history: Any) -> tuple[sparse.csr_array, bool]:
        """Return the row of one user, of whom only the history is known, and whether it holds ratings."""
        rated = self.rating_scale_ is not None
        log = queries.history_interactions(history, self._columns(), self._names, rated=rated)
        log = queries.titles_to_ids(log, self.item_index_, self.titles_)
        return log.align(self.item_index_)[0], log.rated

    def liked_inputs(self, rows: sparse.csr_array, *, rated: bool) -> sparse.csr_array:
        """Return liked items that others liked too: of the rest a ranker has learned nothing."""
        liked = self.positives(rows, rated=rated)
        return select_entries(liked, self._popularity[liked.indices] > 0)

    def rank_inputs(self, rows: sparse.csr_array, *, rated: bool) -> sparse.csr_array:
        """Return what the ranker is given of users' rows."""
        # Ratings predict ratings: a history without any tells nothing.
        inputs = queries.ratings_in if self._ranker is None else self.liked_inputs
        return inputs(rows, rated=rated)

    @property
    def ranker(self) -> Any:
        """What ranks, and knows which items are similar."""
        return self._rating_scorer() if self._ranker is None else self._ranker

    def scorer(self) -> Scorer:
        """Return what ranks, with what is popular for users without a history."""
        return PopularityFallback(self.ranker, self._popularity).to(resolve_device(self.device))

    def recommend_rows(
        self, rows: sparse.csr_array, k: int, *, rated: bool, exclude_seen: bool, among: Any = None, exclude: Any = None
    ) -> dict[str, Any]:
        """Return the best items of users' rows as columns; ``row`` is the number of the user."""
        check_number("k", k, integer=True, low=1)
        allowed = self._allowed(among, exclude)
        inputs = self.rank_inputs(rows, rated=rated)
        banned, device = rows if exclude_seen else None, resolve_device(self.device)
        best = best_items(
            self.scorer(), inputs, min(k, len(self.items_)), device, banned=banned, allowed=allowed
        )  # fmt: skip
        columns: dict[str, Any] = list_columns(self.items_, *best)
        if self.titles_:
            columns["title"] = self._titles(columns["item"])
        cold = np.diff(inputs.indptr) == 0
        return columns | {"source": np.where(cold[columns["row"]], "popularity", "model")}

    def _allowed(self, among: Any, exclude: Any) -> np.ndarray | None:
        """Say which items may be recommended; None where all may."""
        if among is None and exclude is None:
            return None
        allowed = np.full(len(self.items_), among is None)
        for name, ids, value in (("among", among, True), ("exclude", exclude, False)):
            if ids is not None:
                listed = queries.id_list(ids, name)
                queries.check_id_type(listed, self.item_index_, name)
                places = queries.places_of(listed, self.item_index_)
                allowed[places[places >= 0]] = value
        return allowed

    def predict_rows(
        self, rows: sparse.csr_array, row: np.ndarray, items: list[Any], *, rated: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the ratings predicted for pairs of rows and items, and where they come from."""
        assert self.rating_scale_ is not None
        rows = queries.ratings_in(rows, rated=rated)
        queries.check_id_type(items, self.item_index_, "items")
        column = queries.places_of(items, self.item_index_)
        known = column >= 0
        # An item never seen gets the mean of all ratings.
        found = np.full(len(items), self.rating_scale_[1])
        pairs = row[known], column[known]
        found[known] = scores_at(self._rating_scorer(), rows, pairs, resolve_device(self.device))
        return found, np.where(known, np.where(np.diff(rows.indptr)[row] > 0, "model", "item"), "mean")

    def _titles(self, items: Any) -> np.ndarray:
        return np.array([self.titles_.get(plain(item), "") for item in items], dtype=object)
