"""Lists of films and their map, as the lab on films shows them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.labs.movies_results import Film

if TYPE_CHECKING:
    from narrows.datasets import Ratings
    from narrows.labs.movies_data import MovieData
    from narrows.recommend import Recommender

__all__ = ["Chart", "FilmList", "map_of", "same_lists"]

LISTED, HISTORY, MAPPED = 10, 5, 300
WELL_KNOWN = "Toy Story (1995)"
COMPARED = 20
"""Users who are asked twice: as known ones, and by their history."""

NEAREST, DIRECTIONS, PERPLEXITY = 10, 20, 20.0


class FilmList:
    """Films with what is known of them, in the order of their ids.

    Parameters
    ----------
    movies : MovieData
        The ratings.
    model : Recommender
        Fitted to them.
    """

    def __init__(self, movies: MovieData, model: Recommender) -> None:
        self.movies, self.model = movies, model
        ratings = movies.ratings
        self.items, columns = np.unique(ratings.item, return_inverse=True)
        self.counts = np.bincount(columns)
        assert ratings.rating is not None
        self.rating = ratings.rating.astype(np.float64)
        self.means = np.bincount(columns, self.rating) / self.counts
        self.most_rated = np.argsort(-self.counts, kind="stable")

    def film(self, item: int, **more: Any) -> Film:
        """Return what is known of a film."""
        place, titles = int(np.searchsorted(self.items, item)), self.movies.ratings.titles or {}
        known = titles.get(item, f"item {item}"), self.movies.groups.get(item, "Other")
        return Film(item, *known, int(self.counts[place]), float(self.means[place]), **more)

    def liked(self, user: int) -> tuple[Film, ...]:
        """Return what a user rated highest, the best known first among equals."""
        mine = self.movies.ratings.user == user
        items, stars = self.movies.ratings.item[mine], self.rating[mine]
        order = np.lexsort((items, -self.counts[np.searchsorted(self.items, items)], -stars))[:LISTED]
        return tuple(self.film(int(items[one]), stars=float(stars[one])) for one in order)

    def recommended(self, user: int) -> tuple[Film, ...]:
        """Return what is recommended to a user, with the stars that are predicted for it."""
        films = self._films(self.model.recommend([user], LISTED), "item")
        said = self.model.predict([(user, film.item) for film in films])["rating"].tolist()
        return tuple(replace(film, stars=float(stars)) for film, stars in zip(films, said, strict=True))

    def _films(self, frame: Any, column: str) -> list[Film]:
        lines = zip(frame[column].tolist(), frame["score"].tolist(), strict=True)
        return [self.film(int(item), score=float(score)) for item, score in lines]

    def made_up_user(self) -> tuple[tuple[Film, ...], tuple[Film, ...], int]:
        """Invent a user who loves the best known films of one group.

        Returns
        -------
        history, recommended : tuple of Film
            What they love, and what they are recommended.
        popular : int
            How many of as many popular films, without the history, are of the group.
        """
        everything = [self.film(int(item)) for item in self.items[self.most_rated]]
        group = self.movies.order[0]
        most = float(self.rating.max())
        history = tuple(replace(film, stars=most) for film in everything if film.group == group)[:HISTORY]
        known = {film.item for film in history}
        given = dict.fromkeys(known, most)
        recommended = tuple(self._films(self.model.recommend_for(given, LISTED), "item"))
        popular = [film for film in everything if film.item not in known][: len(recommended)]
        return history, recommended, sum(film.group == group for film in popular)

    def similar(self) -> tuple[Film, tuple[Film, ...]]:
        """Return a well-known film and those most like it."""
        titles = self.movies.ratings.titles or {}
        named = [item for item in self.items.tolist() if titles.get(item) == WELL_KNOWN]
        item = named[0] if named else int(self.items[self.most_rated[0]])
        return self.film(item), tuple(self._films(self.model.similar_items([item], LISTED), "similar"))

    def best_by_mean(self) -> tuple[int, float]:
        """Return how many films have the highest mean, and how many ratings the first films by mean have (median)."""
        n_best = int((self.means == self.means.max()).sum())
        first = np.argsort(-self.means, kind="stable")[: max(LISTED, n_best)]
        return n_best, float(np.median(self.counts[first]))


def same_lists(model: Recommender, ratings: Ratings, user: int) -> tuple[int, int]:
    """Ask some users twice, as known ones and by their history alone; return how many get the same, and of how many."""
    assert ratings.rating is not None
    others = [one for one in np.unique(ratings.user).tolist() if one != user]
    users = [user, *others[: COMPARED - 1]]
    known, same = model.recommend(users, LISTED), 0
    for one in users:
        mine = ratings.user == one
        history = dict(zip(ratings.item[mine].tolist(), ratings.rating[mine].tolist(), strict=True))
        alone = model.recommend_for(history, LISTED)["item"].tolist()
        same += alone == known["item"][known["user"] == one].tolist()
    return same, len(users)


@dataclass(frozen=True, eq=False)
class Chart:
    """Films in the plane.

    Attributes
    ----------
    points : ndarray of shape (n_films, 2)
        Where they lie; only neighbourhoods mean something.
    titles, groups : tuple of str
        Which they are, the most-rated first.
    near_share, chance_share : float
        Of the ten films most like each the share of its own group, and the share by chance.
    """

    points: np.ndarray
    titles: tuple[str, ...]
    groups: tuple[str, ...]
    near_share: float
    chance_share: float


def map_of(films: FilmList) -> Chart:
    """Put the most-rated films into the plane, so that those alike to the model lie together."""
    items = films.items[films.most_rated[:MAPPED]]
    shown = [films.film(int(item)) for item in items]
    groups = np.array([film.group for film in shown])
    alike = _alike(films.model, items)
    equal = groups[:, None] == groups
    others = np.argsort(-np.where(np.eye(len(items), dtype=bool), -np.inf, alike), axis=1)[:, :NEAREST]
    others = others[:, : max(1, len(items) - 1)]
    near = float(np.take_along_axis(equal, others, 1).mean())
    chance = float((equal.sum() - len(items)) / max(1, len(items) * (len(items) - 1)))
    titles = tuple(film.title for film in shown)
    return Chart(_in_plane(_item_vectors(alike)), titles, tuple(groups.tolist()), near, chance)


def _alike(model: Recommender, items: np.ndarray) -> np.ndarray:
    """Return how alike the model holds some films to be, shape (n, n)."""
    import torch

    places = torch.tensor([model.item_index_[item] for item in items.tolist()])
    scorer = model.ranker
    found: np.ndarray = scorer.similar(places.to(next(scorer.buffers()).device))[:, places].double().cpu().numpy()
    return (found + found.T) / 2


def _item_vectors(alike: np.ndarray) -> np.ndarray:
    """Return vectors of length 1 whose products come near the likeness of different films."""
    values, directions = np.linalg.eigh(alike - np.diag(np.diag(alike)))
    size = min(DIRECTIONS, len(values))
    vectors = directions[:, -size:] * np.sqrt(np.maximum(values[-size:], 0.0))
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
