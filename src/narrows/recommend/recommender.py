"""The estimator that recommends."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from narrows.data.libraries import frame_of, library_of
from narrows.errors import DataError
from narrows.estimator.base import atomic_fit
from narrows.recommend import serialization
from narrows.recommend.base import BaseRecommender, FittedState
from narrows.recommend.evaluation import ERROR_METRICS, METRICS, Evaluation, evaluate, parse_metric, unseen
from narrows.recommend.ids import Ids, id_list
from narrows.recommend.interactions import Interactions, read_interactions
from narrows.recommend.methods import Method, Rating
from narrows.recommend.queries import read_pairs, read_titles
from narrows.recommend.scorers import (
    ConstantScorer,
    fit_biases,
    item_means,
    list_columns,
    popularity_of,
)
from narrows.recommend.search import SearchResult, baselines_of, fit_ranker
from narrows.validation import check_number, resolve_seed


class Recommender(BaseRecommender):
    """Recommend items to users, known or new, from a log of who took what.

    A user is their history: what they are recommended is computed from the items they have (and the ratings, if there
    are any), never from a number that was learned for them. So a user whom the fit has not seen is served like any
    other, a stored user gets what their history alone would get, and the model file holds no one's ratings.

    Ranking and rating are two tasks, and get two models. What ranks is an autoencoder of rows of ones: the linear one
    in closed form, one with a narrow code, a multinomial one, or several together (``method``). What predicts ratings,
    where the log has them, counts in its loss only the ratings that exist (:class:`narrows.recommend.Rating`); an
    autoencoder trained on a table in which unrated is 0 learns to predict 0. It is fitted when it is first needed: by
    :meth:`predict`, an error of ratings in :meth:`evaluate`, or :meth:`save`. :meth:`evaluate` holds both against the
    baselines.

    What is fitted is a log, not a table of rows, so this is no step of scikit-learn's pipelines.

    Parameters
    ----------
    method : {"auto", "linear", "factors", "multinomial", "ensemble", "rating"} or Method, default "auto"
        What ranks. "auto" tries the first three and sums of them on validation users, and says in ``reason_`` why it
        took what it took; "linear" is fitted almost at once, its penalty chosen among the items taken most; "rating"
        ranks by predicted ratings, which is worse at finding what users go on to like.
    positive_from : float or "auto"
        The rating from which on an item counts as liked, for ranking; "auto" takes the lowest rating
        there is that is not below the mean of all. What is rated lower counts as seen.
    user, item, rating, timestamp : str or None, default "auto"
        The columns of a log. "auto" looks for the usual names (``userId``, ``movie_id``, ``stars``, ...), and takes the
        first two columns where there are none; None leaves a column out (``rating=None`` makes a log of its pairs).
    validation_fraction : float or "auto"
        Fraction of the users to validate on. "auto" takes a tenth, and below 3,000 users each once, in folds; 0 takes
        none, and the defaults of the methods.
    device : str, default "auto"
        "cpu", "cuda", ...; "auto" is a GPU if there is one.
    random_state : int, RandomState or None, default None
        Of the folds and the networks.
    verbose : bool, default False
        Whether to print how it goes.

    Attributes
    ----------
    items_ : ndarray of shape (n_items,)
        The ids of the items.
    item_index_ : dict
        The column of each item, by id.
    titles_ : dict
        Titles by id, as far as they were given.
    method_ : Method
        What ranks, all decided.
    candidates_ : list of dict
        What was tried on validation users: method, ndcg@100, error (its standard error). With ``method="linear"`` the
        lists are of the items taken most.
    baselines_ : dict of str to float
        NDCG@100 on the validation users of the best candidate ("model"), and as far as they were tried of "popularity"
        and "EASE"; empty where there were none to choose by. (The users are those the choice was made on, so the
        model's is a little too good: :meth:`evaluate` on users held out is the honest test.)
    reason_ : str
        Why ``method_`` was taken.
    positive_from_ : float or None
        The rating from which on an item counts as liked; None for a log without ratings.
    rating_scale_ : tuple of float or None
        The least, the mean and the greatest rating; None for a log without ratings.
    history_ : list of dict
        Of the training of a network, if there was one.

    See Also
    --------
    narrows.recommend.split_users : hold out users, the honest test of a recommender.

    Examples
    --------
    >>> from narrows import Recommender, datasets
    >>> ratings = datasets.make_ratings(300, 60, 6000, random_state=0)
    >>> model = Recommender("linear", random_state=0).fit(ratings, titles=ratings.titles)
    >>> somebody = {ratings.item[0]: 5.0, ratings.item[1]: 4.5}
    >>> model.recommend_for(somebody, k=3)[["rank", "source"]].to_numpy().tolist()
    [[1, 'model'], [2, 'model'], [3, 'model']]
    """

    _metadata = serialization.RecommenderMetadata

    def __init__(
        self,
        method: str | Method = "auto",
        *,
        positive_from: float | str = "auto",
        user: str = "auto",
        item: str = "auto",
        rating: str | None = "auto",
        timestamp: str | None = "auto",
        validation_fraction: float | str = "auto",
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.method = method
        self.positive_from = positive_from
        self.user = user
        self.item = item
        self.rating = rating
        self.timestamp = timestamp
        self.validation_fraction = validation_fraction
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @atomic_fit
    def fit(self, ratings: Any, y: Any = None, *, titles: Any = None) -> Recommender:
        """Fit to a log.

        Parameters
        ----------
        ratings : frame, mapping, CSR matrix, path or Interactions
            Who took what: a pandas or polars frame (or a mapping of names to arrays) with a column of users, one of
            items and perhaps of ratings and times; a sparse matrix of users by items, whose ids are the numbers of rows
            and columns; the path of a csv or Parquet file. Of a pair that comes twice the last counts.
        y : ignored
            For scikit-learn.
        titles : mapping, frame or path, optional
            Titles of items: by id, or a table with a column of items and one of titles.

        Raises
        ------
        DataError
            If the log cannot be used as it is.
        """
        method = self._resolve_method()
        log = read_interactions(ratings, self._columns)
        if isinstance(method, Rating) and not log.rated:
            raise DataError("method='rating' needs a column of ratings, and the log has none")
        items, seed = Ids(log.items), resolve_seed(self.random_state)
        self.titles_ = read_titles(titles, self._columns)
        items.places(list(self.titles_), "titles")
        self.positive_from_, self.rating_scale_ = self._resolve_threshold(log), None
        liked = self.positives(log)
        if not liked.nnz:
            raise DataError(f"no rating reaches positive_from={self.positive_from_:g}, so there is nothing to rank by")
        state = FittedState(items, log.names, library_of(ratings), popularity_of(liked), log=log, seed=seed)
        if log.rated:
            values = log.matrix.data.astype(np.float64)
            self.rating_scale_ = (float(values.min()), float(values.mean()), float(values.max()))
            state.item_means, state.biases = item_means(log.matrix), fit_biases(log.matrix).to(self._device)
        if isinstance(method, Rating):
            found = SearchResult(None, method)
        else:
            fraction = None if isinstance(self.validation_fraction, str) else float(self.validation_fraction)
            found = fit_ranker(liked, method, fraction=fraction, seed=seed, device=self._device, log=self._print)
        self.method_, self.reason_ = found.method, found.reason
        self.candidates_, self.history_ = found.candidates, found.history
        self._state, state.ranker = state, found.scorer
        if found.scorer is None:
            state.rater = self.rater
        self.baselines_ = baselines_of(self.candidates_)
        return self

    def _resolve_method(self) -> Method | None:
        check_number("validation_fraction", self.validation_fraction, low=0, high=1, auto=True)
        check_number("positive_from", self.positive_from, low=-1e30, auto=True)
        return None if isinstance(self.method, str) and self.method == "auto" else Method.resolve(self.method)

    def _resolve_threshold(self, log: Interactions) -> float | None:
        if not log.rated:
            return None
        if not isinstance(self.positive_from, str):
            return float(self.positive_from)
        # A rating that there is, so that a mean a little above or below one does not shift what counts.
        levels = np.unique(log.matrix.data)
        return float(levels[min(np.searchsorted(levels, log.matrix.data.mean(dtype=np.float64)), len(levels) - 1)])

    def recommend(
        self,
        users: Any = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        among: Any = None,
        exclude: Any = None,
        histories: Any = None,
    ) -> Any:
        """Recommend items to users.

        Parameters
        ----------
        users : id, list of ids or None
            Whom; None is everyone in the log.
        k : int, default 10
            How many items each.
        exclude_seen : bool, default True
            Whether to leave out what a user has, liked or not.
        among : list of ids, optional
            Recommend only these items; of items never seen nothing is known, so they are left out.
        exclude : list of ids, optional
            Never recommend these.
        histories : frame, mapping, CSR matrix, path or Interactions, optional
            Where to take the users' histories from; the log of the fit by default, while it is in memory.

        Returns
        -------
        frame
            ``user``, ``item``, ``score``, ``rank`` (from 1), ``title`` where titles are known, and ``source``: "model",
            or "popularity" for a user without a history. Of the library of the log.
        """
        check_is_fitted(self)
        log = self.rows_of_users(users, histories)
        columns = self.recommend_rows(log, k, exclude_seen=exclude_seen, among=among, exclude=exclude)
        owners = columns.pop("row")
        return frame_of({"user": log.users[owners], **columns}, self._state.library)

    def recommend_for(
        self, history: Any, k: int = 10, *, exclude_seen: bool = True, among: Any = None, exclude: Any = None
    ) -> Any:
        """Recommend items to one user, whoever it is, from their history.

        Parameters
        ----------
        history : mapping, list, frame or sparse row
            Items and ratings (``{"Heat": 5}``), items alone (``["Heat"]``, all liked), pairs of both, a frame with a
            column of items and perhaps of ratings, or a sparse row. Items that the model does not know count for
            nothing.
        k, exclude_seen, among, exclude
            As in :meth:`recommend`.

        Returns
        -------
        frame
            As of :meth:`recommend`, without ``user``.
        """
        check_is_fitted(self)
        log = self.rows_of_history(history)
        columns = self.recommend_rows(log, k, exclude_seen=exclude_seen, among=among, exclude=exclude)
        del columns["row"]
        return frame_of(columns, self._state.library)

    def predict(self, pairs: Any, *, histories: Any = None) -> Any:
        """Predict ratings, in the log's own scale.

        Parameters
        ----------
        pairs : frame, log or list of (user, item)
            Of whom, and of what.
        histories : frame, mapping, CSR matrix, path or Interactions, optional
            Where to take the users' histories from; the log of the fit by default.

        Returns
        -------
        frame
            ``user``, ``item``, ``rating`` and ``source``: "model"; "item" for a user without a history, who gets what
            the model expects of the item; "mean" for an item never seen, which gets the mean of all ratings.
        """
        check_is_fitted(self)
        if self.rating_scale_ is None:
            raise DataError("the log of the fit has no ratings to predict: recommend ranks items without them")
        users, items = read_pairs(pairs, self._columns, self._state.names)
        index = {user: row for row, user in enumerate(dict.fromkeys(users))}
        log = self.rows_of_users(list(index), histories)
        row = np.array([index[user] for user in users], dtype=np.int64)
        found, source = self.predict_rows(log, row, items)
        return frame_of({"user": users, "item": items, "rating": found, "source": source}, self._state.library)

    def similar_items(self, items: Any, k: int = 10) -> Any:
        """Find the items most like some items.

        Parameters
        ----------
        items : id or list of ids
            Of these.
        k : int, default 10
            How many each.

        Returns
        -------
        frame
            ``item``, ``similar``, ``score``, ``rank`` and, where titles are known, ``title``. The score is the partial
            correlation in the linear autoencoder (what one item says of the other, all others being known), otherwise
            the cosine of what the decoder holds of them.
        """
        check_is_fitted(self)
        check_number("k", k, integer=True, low=1)
        places = self._state.items.places(items, "items")
        if (places < 0).any():
            raise DataError(f"the model has never seen item {id_list(items, 'items')[int((places < 0).argmax())]!r}")
        scores = self.ranker.similar(torch.from_numpy(places)).float().cpu()
        scores[torch.arange(len(places)), torch.from_numpy(places)] = -torch.inf
        top = torch.topk(scores, min(k, len(self.items_) - 1), dim=1)
        found = list_columns(self.items_, top.indices.numpy(), top.values.numpy())
        columns = {"item": self.items_[places][found.pop("row")], "similar": found.pop("item"), **found}
        if self.titles_:
            columns["title"] = self.titles_of(columns["similar"])
        return frame_of(columns, self._state.library)

    def evaluate(
        self, held_out: Any, *, histories: Any = None, metrics: Any = METRICS, baselines: bool = True
    ) -> Evaluation:
        """Measure the model, and the baselines, on entries that were held out.

        Parameters
        ----------
        held_out : frame, mapping, CSR matrix, path or Interactions
            What users went on to take. For lists those count that are liked (``positive_from_``) and not in the
            history; for errors of ratings all.
        histories : frame, mapping, CSR matrix, path or Interactions, optional
            What these users had before; the log of the fit by default.
        metrics : iterable of str, optional
            ``ndcg@k``, ``recall@k``, ``precision@k``, ``map@k``, ``hit_rate@k``, ``coverage@k``, ``novelty@k``,
            ``rmse``, ``mae``. NDCG, recall and map are divided by the best that could be reached, min(k, what is to be
            found); precision by k. Coverage is the fraction of all items that anyone is recommended, novelty the mean
            of minus log2 of the fraction of users who have an item.
        baselines : bool, default True
            Whether to measure the baselines too: popularity, item means, a table of zeros, the bias model, and EASE
            (which is fitted to the log of the fit, so a loaded model goes without).

        Returns
        -------
        Evaluation
            Print it, or take ``values``, ``per_user`` or ``to_frame()``.
        """
        check_is_fitted(self)
        metrics = [metrics] if isinstance(metrics, str) else list(metrics)
        kinds = [parse_metric(name)[0] for name in metrics]
        state, log = self._state, self.read_log(held_out)
        held, own = log.align(state.items), self.rows_of_users(log.users, histories)
        rankers: dict[str, Any] = {"model": (self.scorer(), self.rank_inputs(own))}
        raters: dict[str, Any] = {}
        if log.rated and self.rating_scale_ is not None:
            raters["model"] = self.rater if set(kinds) & set(ERROR_METRICS) else None
        if baselines:
            liked = self.liked_inputs(own)
            rankers |= {name: (scorer, liked) for name, scorer in self.baseline_rankers().items()}
        if baselines and raters:
            zeros = ConstantScorer(np.zeros(len(self.items_)))
            raters |= {"item means": ConstantScorer(state.item_means), "zero table": zeros}
            raters["user and item bias"] = state.biases
        values, per_user, users = evaluate(
            metrics,
            rankers,
            raters,
            own=own,
            held_out=held,
            relevant=unseen(self.positives(held), own.matrix),
            popularity=np.maximum(state.popularity, 1e-9),
            device=self._device,
        )
        return Evaluation(values, per_user, own.users[users], len(log) - len(held))

    def _to_file(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        if self.rating_scale_ is not None:
            self._state.rater = self.rater
        return serialization.to_file(self, self._state)

    @classmethod
    def _from_file(
        cls,
        metadata: dict[str, Any],
        tensors: dict[str, Tensor],
        *,
        network: Any,  # noqa: ARG003
        device: str,
    ) -> Recommender:
        model, state = serialization.from_file(cls, metadata, tensors, device=device)
        model._state = state
        return model
