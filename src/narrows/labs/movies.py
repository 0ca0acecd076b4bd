"""The lab on films: the recommender of a first course, measured, and narrows' own beside the simple answers.

Predicting stars and ranking films are two tasks, and are measured apart: stars by ratings that were hidden at random,
lists by users whom no model has seen.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.labs.movies_data import MovieData, load_movies
from narrows.labs.movies_films import FilmList, map_of, same_lists
from narrows.labs.movies_results import Candidate, Gain, MoviesExhibits, MoviesResult, RankingScore, StarsScore
from narrows.labs.movies_taught import EPOCHS, VALIDATION_SHARE, run_taught
from narrows.recommend import Ensemble, Recommender, split_random, split_users

if TYPE_CHECKING:
    from narrows.labs.fits import Progress
    from narrows.labs.movies_taught import TaughtResult
    from narrows.recommend import Interactions, Method

__all__ = ["run_movies_lab"]

SPLITS = 3
HIDDEN_SHARE, USERS_SHARE = 0.1, 0.2
NDCG, RECALL, PRECISION, COVERAGE = "ndcg@100", "recall@20", "precision@10", "coverage@10"
METHODS = ("auto", "linear", "multinomial", "factors", "ensemble")

STARS = {
    "zero table": ("zero", "zeros everywhere"),
    "mean": ("mean", "mean of all ratings"),
    "item means": ("items", "mean of each film"),
    "user and item bias": ("bias", "user and film bias"),
    "model": ("narrows", "narrows"),
}
RANKERS = {
    "item means": ("items", "mean of each film"),
    "popularity": ("popular", "popularity"),
    "EASE": ("ease", "EASE"),
    "model": ("narrows", "narrows"),
}
"""What is measured, by its name in an evaluation: a key, and a name for people."""


def run_movies_lab(
    data: str | MovieData | None = None,
    *,
    seed: int = 0,
    user: int | None = None,
    method: str = "auto",
    n_splits: int = SPLITS,
    max_epochs: int | None = None,
    progress: Progress = lambda stage, detail: None,  # noqa: ARG005
) -> MoviesResult:
    """Run the lab on films: under two minutes on MovieLens.

    Parameters
    ----------
    data : {"movielens-small", "made-up"}, MovieData or None
        Which ratings. None takes MovieLens, and made-up ratings where it is neither on this machine nor to be fetched.
    seed : int, default 0
        Fixes everything random but the users held out as taught: a second run gives the same numbers, apart from times.
    user : int, optional
        Whom to list films for; the first.
    method : {"auto", "linear", "multinomial", "factors", "ensemble"}, default "auto"
        What ranks. "auto" chooses on the training users of the first split; the other splits take the same kind.
    n_splits : int, default 3
        How many times users are held out.
    max_epochs : int, optional
        Passes of the network as taught at most, for a quick look.
    progress : callable, optional
        Told what is being done: a stage, and how far it is (may be empty).

    Returns
    -------
    MoviesResult
        Numbers, sentences about them (``lessons``), and the fitted model (``exhibits``).

    Raises
    ------
    DataError
        If there is no such data, user or method, or pandas is missing.

    Examples
    --------
    >>> from narrows.labs import run_movies_lab
    >>> from narrows.labs.movies_data import made_up_movies
    >>> result = run_movies_lab(made_up_movies(200, 100, 4000), method="linear", n_splits=1, max_epochs=2)
    >>> result.ranking_of("narrows").ndcg > result.ranking_of("items").ndcg
    True
    """
    if method not in METHODS:
        raise DataError(f"method must be one of {', '.join(METHODS)}, not {method!r}.")
    if n_splits < 1:
        raise DataError(f"n_splits must be at least 1, not {n_splits}.")
    _require_pandas()
    progress("loading the ratings", "")
    movies = data if isinstance(data, MovieData) else load_movies(data, seed=seed)
    seconds: dict[str, float] = {}
    epochs = EPOCHS if max_epochs is None else max_epochs
    taught = run_taught(movies.ratings, seed=seed, user=user, max_epochs=epochs, progress=progress)
    seconds["taught"] = taught.seconds
    progress("predicting stars", "")
    stars = _stars(movies, seed, seconds)
    lists = _Lists(movies, seed, n_splits, progress)
    lists.measure(method, seconds)
    progress("fitting to all ratings", "")
    began = time.perf_counter()
    model = Recommender(lists.kind, random_state=seed).fit(movies.ratings, titles=movies.ratings.titles)
    seconds["all"] = time.perf_counter() - began
    progress("listing films", "")
    told, exhibits = _shown(movies, model, taught)
    return MoviesResult(
        data=movies.ratings.name,
        made_up=movies.made_up,
        kind=movies.kind,
        seed=seed,
        split_seeds=lists.seeds,
        taught=taught,
        stars=tuple(replace(score, rmse_new=lists.rmse_new(score.key)) for score in stars[0]),
        **stars[1],
        **lists.told(),
        **told,
        seconds=seconds,
        notes=_notes(movies, lists, taught),
        sources=(taught.source,) if not movies.made_up else ("The ratings are made up: no one gave them.",),
        exhibits=exhibits,
    )


def _require_pandas() -> None:
    try:
        import pandas as pd  # noqa: F401
    except ImportError:
        raise DataError("The lab on films lists films, and needs pandas: pip install 'narrows[frames]'.") from None


def _stars(movies: MovieData, seed: int, seconds: dict[str, float]) -> tuple[tuple[StarsScore, ...], dict[str, Any]]:
    """Hide a tenth of the ratings, and measure what is said of them."""
    train, hidden = split_random(movies.ratings, HIDDEN_SHARE, random_state=seed)
    began = time.perf_counter()
    model = Recommender("rating", random_state=seed).fit(train)
    seconds["stars"] = time.perf_counter() - began
    values = model.evaluate(hidden, metrics=("rmse", "mae")).values
    off = hidden.matrix.data.astype(np.float64) - train.matrix.data.mean(dtype=np.float64)
    values["mean"] = {"rmse": float(np.sqrt(np.mean(off**2))), "mae": float(np.mean(np.abs(off)))}
    columns = hidden.columns()
    best = movies.expected(columns["user"], columns["item"])
    least = None if best is None else float(np.sqrt(np.mean((columns["rating"] - best) ** 2)))
    scores = [StarsScore(*names, values[way]["rmse"], values[way]["mae"], None) for way, names in STARS.items()]
    return tuple(scores), {"n_stars": len(hidden), "least_rmse": least}


class _Lists:
    """Lists for users who were held out, over several splits."""

    def __init__(self, movies: MovieData, seed: int, n_splits: int, progress: Progress) -> None:
        self.ratings, self.progress = movies.ratings, progress
        self.seeds = tuple(seed + number for number in range(n_splits))
        self.kind: str | Method = ""
        self.first: Recommender | None = None
        self.users: list[np.ndarray] = []
        self.per_user: dict[tuple[str, str], list[np.ndarray]] = {}
        self.values: dict[tuple[str, str], list[float]] = {}
        self.sizes = (0, 0)

    def measure(self, method: str | Method, seconds: dict[str, float]) -> None:
        """Fit on each split, and ask the users held out."""
        stage = "ranking films for users held out"
        self.progress(stage, "")
        for number, seed in enumerate(self.seeds):
            self.progress(stage, f"split {number + 1} of {len(self.seeds)}")
            train, histories, asked = split_users(self.ratings, USERS_SHARE, random_state=seed)
            began = time.perf_counter()
            model = Recommender(method, random_state=seed).fit(train)
            seconds[f"lists {number + 1}"] = time.perf_counter() - began
            if self.first is None:
                self.first, self.sizes = model, (len(train.users), len(histories.users))
                self.kind = method = _undecided(model.method_)
            self._add(model, histories, asked)

    def _add(self, model: Recommender, histories: Interactions, asked: Interactions) -> None:
        metrics = (NDCG, RECALL, PRECISION, COVERAGE, "rmse")
        found = model.evaluate(asked, histories=histories, metrics=metrics)
        self.users.append(found.users)
        for way, measures in found.per_user.items():
            for name, values in measures.items():
                self.per_user.setdefault((way, name), []).append(values)
        for way, numbers in found.values.items():
            for name in (COVERAGE, "rmse"):
                self.values.setdefault((way, name), []).append(numbers[name])
        # The mean of all ratings is no way of the evaluation's own.
        mean = model._log.matrix.data.mean(dtype=np.float64)  # type: ignore[union-attr]
        off = asked.matrix.data.astype(np.float64) - mean
        self.values.setdefault(("mean", "rmse"), []).append(float(np.sqrt(np.mean(off**2))))

    def rmse_new(self, key: str) -> float:
        """Return the error in the stars of users held out."""
        way = next(way for way, names in STARS.items() if names[0] == key)
        return float(np.mean(self.values[way, "rmse"]))

    def by_user(self, way: str, name: str) -> np.ndarray:
        """Return a measure for each user; of one who was held out more than once the mean."""
        _, places = np.unique(np.concatenate(self.users), return_inverse=True)
        values = np.concatenate(self.per_user[way, name])
        return np.bincount(places, values) / np.bincount(places)

    def told(self) -> dict[str, Any]:
        """Return the part of the result on lists."""
        scores, gains = [], []
        for way, names in RANKERS.items():
            parts: dict[str, Any] = {"coverage": float(np.mean(self.values[way, COVERAGE]))}
            for name, measure in (("ndcg", NDCG), ("recall", RECALL), ("precision", PRECISION)):
                parts[name], parts[f"{name}_error"] = _mean_and_error(self.by_user(way, measure))
            scores.append(RankingScore(*names, **parts))
            if way != "model":
                difference = self.by_user("model", NDCG) - self.by_user(way, NDCG)
                gains.append(Gain(names[0], *_mean_and_error(difference)))
        assert self.first is not None
        tried = [Candidate(one["method"], one[NDCG], one["error"]) for one in self.first.candidates_]
        return {
            "n_asked": len(self.by_user("model", NDCG)),
            "ranking": tuple(scores),
            "gains": tuple(gains),
            "method": _name(self.first.method_),
            "reason": self.first.reason_,
            "candidates": tuple(tried),
        }


def _parts(method: Method) -> tuple[Method, ...]:
    return getattr(method, "parts", (method,))


def _undecided(method: Method) -> Method:
    """Return the kind of a method, with all settings to be chosen anew."""
    kinds = tuple(type(part)() for part in _parts(method))
    return kinds[0] if len(kinds) == 1 else Ensemble(kinds)  # type: ignore[arg-type]


def _name(method: Method) -> str:
    return " + ".join(type(part).__name__.lower() for part in _parts(method))


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    error = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else float("inf")
    return float(values.mean()), error


def _shown(movies: MovieData, model: Recommender, taught: TaughtResult) -> tuple[dict[str, Any], MoviesExhibits]:
    """List films, and put the most-rated ones on a map."""
    films = FilmList(movies, model)
    chart = map_of(films)
    user = taught.user
    history, recommended, popular = films.made_up_user()
    n_best, ratings_of_best = films.best_by_mean()
    well_known, similar = films.similar()
    n_same, n_compared = same_lists(model, movies.ratings, user)
    told = {
        "n_best_mean": n_best,
        "best_mean_ratings": ratings_of_best,
        "user": user,
        "liked": films.liked(user),
        "recommended": films.recommended(user),
        "n_same": n_same,
        "n_compared": n_compared,
        "group": history[0].group,
        "history": history,
        "recommended_new": recommended,
        "popular_in_group": popular,
        "similar_to": well_known,
        "similar": similar,
        "n_mapped": len(chart.points),
        "near_share": chart.near_share,
        "chance_share": chart.chance_share,
    }
    levels = _training_levels(movies, taught)
    return told, MoviesExhibits(model, chart.points, chart.titles, chart.groups, movies.order, levels)


def _training_levels(movies: MovieData, taught: TaughtResult) -> dict[str, float]:
    """Return the losses of trivial answers on the users the network as taught was fitted to."""
    from sklearn.model_selection import train_test_split

    from narrows.labs.movies_taught import STARS as MOST

    _, rows = np.unique(movies.ratings.user, return_inverse=True)
    _, columns = np.unique(movies.ratings.item, return_inverse=True)
    numbers = np.arange(taught.n_users)
    fitted, _ = train_test_split(numbers, test_size=VALIDATION_SHARE, random_state=taught.split_seed)
    kept = np.isin(rows, fitted)
    assert movies.ratings.rating is not None
    values = movies.ratings.rating[kept].astype(np.float64) / MOST
    cells = taught.n_train * taught.n_items
    zero = float(np.square(values).sum()) / cells
    means = np.bincount(columns[kept], values, taught.n_items) / taught.n_train
    return {"zeros everywhere": zero, "average row": zero - taught.n_train * float(np.square(means).sum()) / cells}


def _notes(movies: MovieData, lists: _Lists, taught: TaughtResult) -> tuple[str, ...]:
    splits = f"{len(lists.seeds)} splits" if len(lists.seeds) > 1 else "one split"
    made = "The ratings are made up, from tastes, popularity, quality and chance." if movies.made_up else ""
    made = f"{made} {movies.why}".strip()
    layers = "-".join(map(str, taught.layers))
    net = (
        f"As taught: layers {layers}, ReLU and {taught.output}, Adam at 0.001, batches of 256, {taught.epochs} passes, "
        f"{taught.steps} steps; {taught.n_validation:,} of {taught.n_users:,} users are held out."
    )
    asked = (
        f"Lists: {splits} of the users, seeds {', '.join(map(str, lists.seeds))}; {lists.sizes[0]:,} fitted and "
        f"{lists.sizes[1]:,} held out in the first. Of these 80% of the films are told, and the liked ones among the "
        "rest are to be found."
    )
    words = ("Genres", "the first in the order of the map's legend")
    kind, counts = words if movies.kind == "genre" else ("Tastes", "the strongest")
    seeds = (
        f"All numbers come from seed {lists.seeds[0]}, but for the users held out as taught, which are those of seed "
        f"{taught.split_seed}."
    )
    notes = (
        made,
        net,
        "Its errors in stars are of a tenth of the ratings of these users, set to 0 in what it is shown.",
        f"Stars are predicted for {HIDDEN_SHARE:.0%} of all ratings, hidden at random, and for users not in the fit.",
        asked,
        "Liked is what got at least the mean of all ratings of the fit. Films a user has are never listed.",
        "A user held out in several splits counts once; ± is a standard error over users.",
        f"{kind} are told to no model. Of a film with several {counts} counts.",
        seeds,
    )
    return tuple(note for note in notes if note)
