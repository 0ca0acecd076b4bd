"""Lists of films, their map, and the other figures of the lab on films."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.recommend import Recommender
from narrows.report import Table, plot_bars, plot_history, plot_item_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from narrows.labs.engine import LabResult
    from narrows.labs.movies_data import MovieData

__all__ = ["FilmLists", "films_table", "listed_title", "plot_loss", "plot_map", "plot_rankings", "plot_star_errors"]

N_LISTED, N_LOVED, N_MAPPED = 10, 5, 300
WELL_KNOWN = "Toy Story (1995)"
NEAREST, N_COMPONENTS, PERPLEXITY = 10, 20, 20.0

LONGEST_TITLE = 48
"""Letters of a title in a table; a longer one goes without its year."""

Film = dict[str, Any]


class FilmLists:
    """Films with what is known of them, and lists of a model fitted to all ratings."""

    def __init__(self, movies: MovieData, model: Recommender) -> None:
        self.movies, self.model, self.ratings = movies, model, movies.ratings
        self.titles = self.ratings.titles or {}
        self.items, columns = np.unique(self.ratings.item, return_inverse=True)
        self.counts = np.bincount(columns)
        assert self.ratings.rating is not None
        self.stars = self.ratings.rating.astype(np.float64)
        self.means = np.bincount(columns, self.stars) / self.counts
        self.most_rated = self.items[np.argsort(-self.counts, kind="stable")].tolist()

    def film(self, item: int, **more: Any) -> Film:
        """Return what is known of a film."""
        place = int(np.searchsorted(self.items, item))
        known = {"title": self.titles.get(item, f"item {item}"), "group": self.movies.groups.get(item, "Other")}
        return {"item": item, **known, "n_ratings": int(self.counts[place]), "mean": float(self.means[place]), **more}

    def of_user(self, user: int) -> dict[str, Any]:
        """Return what a user rated highest, the best known first among equals, and what is recommended."""
        mine = self.ratings.user == user
        items, stars = self.ratings.item[mine], self.stars[mine]
        order = np.lexsort((items, -self.counts[np.searchsorted(self.items, items)], -stars))[:N_LISTED]
        recommended = self.model.recommend([user], N_LISTED)["item"].tolist()
        predicted = self.model.predict([(user, item) for item in recommended])["rating"].tolist()
        return {
            "liked": [self.film(int(items[place]), stars=float(stars[place])) for place in order],
            "recommended": [self.film(item, stars=value) for item, value in zip(recommended, predicted, strict=True)],
        }

    def of_newcomer(self) -> dict[str, Any]:
        """Invent a user who loves the best known films of one group, and return what they are recommended."""
        films = [self.film(item) for item in self.most_rated]
        group = self.movies.order[0]
        loved = [film for film in films if film["group"] == group][:N_LOVED]
        history = dict.fromkeys((film["item"] for film in loved), float(self.stars.max()))
        found = [self.film(item) for item in self.model.recommend_for(history, N_LISTED)["item"].tolist()]
        popular = [film for film in films if film["item"] not in history][: len(found)]
        return {
            "group": group.lower(),
            "loved": loved,
            "loved_titles": "; ".join(listed_title(film["title"]) for film in loved),
            "newcomer": found,
            "n_newcomer": len(found),
            "n_loved": len(loved),
            "newcomer_in_group": sum(film["group"] == group for film in found),
            "popular_in_group": sum(film["group"] == group for film in popular),
        }

    def similar(self) -> dict[str, Any]:
        """Return a well-known film and those most similar to it."""
        item = next((item for item in self.most_rated if self.titles.get(item) == WELL_KNOWN), self.most_rated[0])
        found = self.model.similar_items([item], N_LISTED)["similar"].tolist()
        title = listed_title(self.film(item)["title"])
        return {"similar_to": item, "similar_title": title, "similar": [self.film(one) for one in found]}

    def best_by_mean(self) -> float:
        """Return how many ratings the films with the highest means have (median)."""
        n_best = int((self.means == self.means.max()).sum())
        first = np.argsort(-self.means, kind="stable")[: max(N_LISTED, n_best)]
        return float(np.median(self.counts[first]))

    def map(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return how often similar films are of one group, and the points, titles and groups of a map of films."""
        items = self.most_rated[:N_MAPPED]
        similarity = self._similarity(items)
        films = [self.film(item) for item in items]
        groups = np.array([film["group"] for film in films])
        equal, n_films = groups[:, None] == groups, len(items)
        masked = np.where(np.eye(n_films, dtype=bool), -np.inf, similarity)
        nearest = np.argsort(-masked, axis=1)[:, : min(NEAREST, max(1, n_films - 1))]
        near = float(np.take_along_axis(equal, nearest, 1).mean())
        chance = float((equal.sum() - n_films) / max(1, n_films * (n_films - 1)))
        facts = {"n_mapped": n_films, "near_fraction": near, "chance_fraction": chance}
        titles = tuple(film["title"] for film in films)
        return facts, {"points": _in_plane(_vectors(similarity)), "titles": titles, "groups": tuple(groups.tolist())}

    def _similarity(self, items: list[int]) -> np.ndarray:
        """Return the similarity of films to the model, made symmetric, zero on the diagonal."""
        places = {item: place for place, item in enumerate(items)}
        found = np.zeros((len(items), len(items)))
        for item, row in zip(items, found, strict=True):
            told = self.model.similar_items([item], len(self.items))
            for other, score in zip(told["similar"].tolist(), told["score"].tolist(), strict=True):
                if other in places:
                    row[places[other]] = score
        return (found + found.T) / 2


def _vectors(similarity: np.ndarray) -> np.ndarray:
    """Return vectors of length 1 whose products come near the similarities of different films."""
    values, axes = np.linalg.eigh(similarity)
    size = min(N_COMPONENTS, len(values))
    vectors = axes[:, -size:] * np.sqrt(np.maximum(values[-size:], 0.0))
    # An eigenvector may point either way: its largest entry is taken as positive.
    vectors *= np.sign(vectors[np.abs(vectors).argmax(0), np.arange(size)])
    unit: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


def _in_plane(vectors: np.ndarray) -> np.ndarray:
    from sklearn.manifold import TSNE

    if len(vectors) < 4 or vectors.shape[1] < 2:
        return np.pad(vectors, ((0, 0), (0, 2)))[:, :2]
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    points: np.ndarray = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors)
    return points


def listed_title(title: str) -> str:
    """Return a title without other names in brackets, no longer than there is room for in 80 columns."""
    found = re.fullmatch(r"(.*?)((?: \(\d{4}\))?)", title)
    name, year = (found[1], found[2]) if found else (title, "")
    name = re.sub(r"\s*\([^()]*\)", "", name).strip() or name
    if len(name) + len(year) <= LONGEST_TITLE:
        return name + year
    return name if len(name) <= LONGEST_TITLE else name[: LONGEST_TITLE - 1].rpartition(" ")[0].rstrip(" ,:-") + " …"


def films_table(fact: str, heading: str, cell: str) -> Callable[[LabResult], Table]:
    """Return what shows a list of films, whose second column is a template over a film, as a table."""

    def table(result: LabResult) -> Table:
        rows = tuple(
            (
                f"{number}. {listed_title(film['title'])}",
                cell.format_map(film).lower(),
                f"{film['mean']:.2f}",
                f"{film['n_ratings']:,}",
            )
            for number, film in enumerate(result.facts[fact], 1)
        )
        return Table(("film", result.fill(heading), "mean", "ratings"), rows)

    return table


def _bars(result: LabResult, measure: str) -> dict[str, Any]:
    """Return a measure by the name of an entry, with its standard error where it has one."""
    error = f"{measure}_error"
    entries = [entry for entry in result.entries if measure in entry.values]
    return {
        entry.name: (entry[measure], entry[error]) if error in entry.values else entry[measure] for entry in entries
    }


def plot_star_errors(result: LabResult, theme: str) -> Figure:
    """Draw how far off predicted stars are."""
    panels = {
        "course baseline: RMSE in stars": _bars(result, "course_rmse"),
        "RMSE in stars, hidden at random": _bars(result, "rmse"),
    }
    return plot_bars(panels, highlight=("course baseline", "narrows"), same_scale=True, theme=theme)


def plot_rankings(result: LabResult, theme: str) -> Figure:
    """Draw how good lists are."""
    panels = {"NDCG@100": _bars(result, "ndcg"), "recall@20": _bars(result, "recall")}
    return plot_bars(panels, highlight=("narrows",), theme=theme)


def plot_map(result: LabResult, theme: str) -> Figure:
    """Draw the map of films."""
    shown = result.artifacts["map"]
    order = result.artifacts["movies"].order
    return plot_item_map(shown["points"], shown["titles"], shown["groups"], order=order, theme=theme)


def plot_loss(result: LabResult, theme: str) -> Figure:
    """Draw the loss of the users of the fit, and that of a table of zeros for them."""
    levels = {result["zero"].name: result.artifacts["training_losses"]["zero"]}
    history = {result["course"].name: result.artifacts["history"]}
    return plot_history(history, references=levels, ylabel="loss over all cells", theme=theme)
