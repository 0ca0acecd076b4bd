"""Lab 2: films. The recommender of a first course, measured, and narrows' own beside the simple answers.

Predicting stars and ranking films are two tasks, and are measured apart: stars by ratings that were hidden at random,
lists by users whom no model has seen.
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from narrows.errors import DataError
from narrows.labs import course_baseline as course
from narrows.labs import movies_lists as films
from narrows.labs.conclusions import Compare, Measure
from narrows.labs.engine import Lab, LabResult, Part, System, fit
from narrows.labs.movies_data import DATA, MovieData, load_movies
from narrows.recommend import Ensemble, Method, Recommender, split_random, split_users
from narrows.report.html import Table

__all__ = ["MoviesLab"]

HIDDEN_FRACTION, USERS_FRACTION = 0.1, 0.2
METHODS = ("auto", "linear", "multinomial", "factors", "ensemble")
RANKING = {"ndcg": "ndcg@100", "recall": "recall@20", "precision": "precision@10", "coverage": "coverage@10"}

WAYS = {
    "zero table": "zero",
    "item means": "items",
    "user and item bias": "bias",
    "popularity": "popular",
    "EASE": "ease",
    "model": "narrows",
}
"""Keys of entries, by the names that an evaluation gives them."""


def _printed(result: LabResult) -> Table:
    rows = []
    for number, line in enumerate(result.facts["suggestions"], 1):
        meant = films.listed_title(line["title"]) if line["title"] else f"item {line['item']}"
        read = films.listed_title(line["read_title"]) if line["read_title"] else "a film without a title"
        known = read if line["names_film"] else "no film"
        rows.append((f"{number}. {meant}", f"{line['stars']:.2f}", str(line["printed"]), known))
    return Table(("the film that is meant", "stars", "printed", "which is the id of"), tuple(rows))


def _candidates(result: LabResult) -> Table:
    found = result.facts["candidates"]
    rows = tuple((one["name"], f"{one['ndcg']:.3f} ± {one['error']:.3f}") for one in found)
    best = int(np.argmax([one["ndcg"] for one in found])) if found else None
    return Table(("candidate, on users of the fit", "NDCG@100"), rows, (None, best))


class MoviesLab(Lab):
    """The lab on films: under two minutes on MovieLens."""

    name, prose, needs_pandas = "movies", "movies", True
    datasets = DATA
    measures: ClassVar[dict[str, Measure]] = {
        "loss": Measure("{loss:.4f}", -1),
        **{key: Measure(f"{{{key}:.3f}}", -1) for key in ("course_rmse", "rmse", "mae", "rmse_new")},
        **{key: Measure(f"{{{key}:.3f}} ± {{{key}_error:.3f}}", 1) for key in ("ndcg", "recall", "precision")},
        "coverage": Measure("{coverage:.1%}"),
    }
    parts = (
        Part("loss", ("loss",), figure=films.plot_loss),
        Part("course_stars", ("course_rmse",)),
        Part("printed", table=_printed),
        Part("stars", ("rmse", "mae", "rmse_new"), figure=films.plot_star_errors),
        Part("ranking", ("ndcg", "recall", "precision", "coverage"), figure=films.plot_rankings),
        Part("candidates", table=_candidates),
        Part("liked", table=films.films_table("liked", "stars", "{stars:.1f}")),
        Part("recommended", table=films.films_table("recommended", "predicted", "{stars:.1f}")),
        Part("newcomer", table=films.films_table("newcomer", "{kind}", "{group}")),
        Part("similar", table=films.films_table("similar", "{kind}", "{group}")),
        Part("map", figure=films.plot_map),
    )
    comparisons = (
        Compare("loss", ("course", "zero", "average"), "loss"),
        Compare("hidden", ("course", "mean"), "course_rmse"),
        Compare("ties", when="ties"),
        Compare("printed"),
        Compare("stars", ("narrows", "bias"), "rmse"),
        Compare("ranking", ("narrows", "popular"), "ndcg"),
        Compare("ease", ("narrows", "ease"), "ndcg"),
        Compare("method"),
        Compare("means", ("items", "popular"), "ndcg"),
        Compare("newcomer"),
        Compare("groups"),
        Compare("coverage", order="coverage_order"),
    )

    def prepare(
        self, *, data: str | MovieData | None = None, method: str = "auto", n_splits: int = 3, max_epochs: int = 50
    ) -> None:
        """Load the ratings and split them in every way that is needed."""
        if method not in METHODS:
            raise DataError(f"method must be one of {', '.join(METHODS)}, not {method!r}.")
        if n_splits < 1:
            raise DataError(f"n_splits must be at least 1, not {n_splits}.")
        self.movies = data if isinstance(data, MovieData) else load_movies(data, seed=self.seed)
        self.ratings = self.movies.ratings
        self.table = course.RatingsTable.of(self.ratings)
        self.method: str | Method = method
        self.n_splits, self.max_epochs = n_splits, max_epochs
        self.train, self.hidden = split_random(self.ratings, HIDDEN_FRACTION, random_state=self.seed)
        self.users: list[np.ndarray] = []
        self.found: dict[tuple[str, str], list[Any]] = {}
        self._describe()

    def _describe(self) -> None:
        made_up, cells = self.movies.made_up, self.table.cells
        self.artifacts |= {"movies": self.movies}
        self.facts |= {"data": "made-up" if made_up else self.ratings.name, "data_reason": self.movies.reason}
        self.facts |= {"kind": "taste" if made_up else "genre", "n_splits": self.n_splits, "epochs": self.max_epochs}
        self.facts |= {"n_users": len(cells), "n_items": cells.shape[1], "n_ratings": int(np.count_nonzero(cells))}
        self.facts |= {"n_train": len(self.table.train), "n_validation": len(self.table.validation)}
        self.facts |= {"user": self.table.users[0].item(), "n_stars": len(self.hidden)}
        self.facts["empty"] = 1 - self.facts["n_ratings"] / cells.size
        known = f"{self.ratings.citation}. Licence: {self.ratings.licence}."
        self.sources = ("The ratings are made up: no one gave them.",) if made_up else (known,)

    def systems(self) -> Iterable[System]:
        """Return the course baseline, narrows' model of stars, that of lists on each split, and both on all ratings."""

        def course_fit() -> Any:
            model = course.course_autoencoder(256, 512, epochs=self.max_epochs, seed=self.seed, batch_size=256)
            return fit(model, self.table.cells[self.table.train], tell=self.tell)

        def split_fit(number: int) -> Callable[[], Any]:
            def fit_split() -> Any:
                seed = self.seed + number
                train, histories, held_out = split_users(self.ratings, USERS_FRACTION, random_state=seed)
                return Recommender(self.method, random_state=seed).fit(train), train, histories, held_out

            return fit_split

        def all_fit() -> Any:
            model = Recommender(self.method, random_state=self.seed)
            return model.fit(self.ratings, titles=self.ratings.titles)

        return (
            System("course", course_fit),
            System("stars", lambda: Recommender("rating", random_state=self.seed).fit(self.train)),
            *(System("lists", split_fit(number)) for number in range(self.n_splits)),
            System("all", all_fit),
        )

    def measure(self, key: str, fitted: Any) -> None:
        """Measure a system, and the simple answers beside it."""
        {"course": self._course, "stars": self._stars, "lists": self._lists, "all": self._all}[key](fitted)

    def _course(self, model: Any) -> None:
        for key, loss in course.losses(model.reconstruct, self.table, self.table.validation).items():
            self.record(key, {"loss": loss})
        errors, about = course.error_of_hidden(model.reconstruct, self.table, self.seed)
        for key, error in errors.items():
            self.record(key, {"course_rmse": error})
        titles = self.ratings.titles
        self.facts |= about | course.suggestions(model.reconstruct, self.table, titles)
        self.facts |= {"ties": self.facts["n_tied"] > 1, "n_suggestions": len(self.facts["suggestions"])}
        self.artifacts["history"] = model.history_
        self.artifacts["training_losses"] = course.losses(model.reconstruct, self.table, self.table.train)

    def _stars(self, model: Recommender) -> None:
        values = model.evaluate(self.hidden, metrics=("rmse", "mae")).values
        off = self.hidden.matrix.data.astype(np.float64) - self.train.matrix.data.mean(dtype=np.float64)
        self.record("mean", {"rmse": float(np.sqrt(np.mean(off**2))), "mae": float(np.mean(np.abs(off)))})
        for way, key in WAYS.items():
            if way in values:
                self.record(key, values[way])

    def _lists(self, fitted: Any) -> None:
        model, train, histories, held_out = fitted
        if not self.users:
            self.facts["candidates"] = [
                {"name": one["method"], "ndcg": one[RANKING["ndcg"]], "error": one["error"]}
                for one in model.candidates_
            ]
            self.facts |= {"reason": model.reason_, "method": _name(model.method_)}
            self.method = _undecided(model.method_)
        found = model.evaluate(held_out, histories=histories, metrics=(*RANKING.values(), "rmse"))
        self.users.append(found.users)
        for way, measures in found.per_user.items():
            for name, values in measures.items():
                self.found.setdefault((way, name), []).append(values)
        for way, numbers in found.values.items():
            for name in (RANKING["coverage"], "rmse"):
                self.found.setdefault((way, name), []).append(numbers[name])
        off = held_out.matrix.data.astype(np.float64) - train.matrix.data.mean(dtype=np.float64)
        self.found.setdefault(("mean of all", "rmse"), []).append(float(np.sqrt(np.mean(off**2))))

    def _all(self, model: Recommender) -> None:
        lists = films.FilmLists(self.movies, model)
        user = self.facts["user"]
        about, self.artifacts["map"] = lists.map()
        self.facts |= lists.of_user(user) | lists.of_newcomer() | lists.similar() | about
        self.facts["best_mean_ratings"] = lists.best_by_mean()
        self.artifacts["model"] = model

    def finish(self) -> None:
        """Average over the splits; a user who was held out more than once counts once."""
        _, places = np.unique(np.concatenate(self.users), return_inverse=True)
        counts = np.bincount(places)
        self.facts["n_held_out"] = len(counts)
        self.record("mean", {"rmse_new": float(np.mean(self.found["mean of all", "rmse"]))})
        for way, key in WAYS.items():
            for measure, metric in (("rmse_new", "rmse"), ("coverage", RANKING["coverage"])):
                self.record(key, {measure: float(np.mean(self.found.get((way, metric), np.nan)))})
            for measure, metric in RANKING.items():
                if measure == "coverage" or (way, metric) not in self.found:
                    continue
                values = np.bincount(places, np.concatenate(self.found[way, metric])) / counts
                error = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else float("inf")
                entry = self.record(key, {measure: float(values.mean()), f"{measure}_error": error})
                entry.samples[measure] = values
        self.facts["coverage_order"] = -1 if self.entries["narrows"]["coverage"] < 0.5 else 0


def _parts(method: Method) -> tuple[Method, ...]:
    return getattr(method, "parts", (method,))


def _undecided(method: Method) -> Method:
    """Return the kind of a method, with all settings to be chosen anew."""
    kinds = tuple(type(part)() for part in _parts(method))
    return kinds[0] if len(kinds) == 1 else Ensemble(kinds)  # type: ignore[arg-type]


def _name(method: Method) -> str:
    return " + ".join(type(part).__name__.lower() for part in _parts(method))
