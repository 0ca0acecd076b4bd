"""The ratings of the lab on films: MovieLens where it is to be had, otherwise ones made up with a known structure."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows import datasets
from narrows.errors import DataError, DownloadError

if TYPE_CHECKING:
    from narrows.datasets import Ratings
    from narrows.datasets.generators import RatingStructure

__all__ = ["DATA", "MovieData", "load_movies", "made_up_movies"]

MOVIELENS = "movielens-small"
DATA = (MOVIELENS, "made-up")

SIZES = (600, 3000, 60_000)
"""Users, films and ratings where they are made up: as many users as MovieLens has, and fewer films."""

GROUPS = {
    "Animation": ("Animation",),
    "Horror": ("Horror",),
    "Sci-fi, fantasy": ("Sci-Fi", "Fantasy"),
    "War, western": ("War", "Western"),
    "Romance, musical": ("Romance", "Musical"),
    "Crime, thriller": ("Crime", "Film-Noir", "Mystery", "Thriller"),
    "Action, adventure": ("Action", "Adventure"),
    "Comedy": ("Comedy",),
    "Drama": ("Drama",),
}
"""A film is of the first of these that it has a genre of: those that say most of it come first."""

OTHER = "Other"


@dataclass(frozen=True, eq=False)
class MovieData:
    """Ratings, and what is known of the films beside them.

    Attributes
    ----------
    ratings : Ratings
        The log.
    groups : dict of str
        Of each film one word on what it is, by its id: a genre, or the taste it has most of. No model is told.
    kind : str
        What these words are: ``"genre"`` or ``"taste"``.
    why : str
        Why these ratings.
    structure : RatingStructure or None
        What made-up ratings were made from.
    """

    ratings: Ratings
    groups: dict[int, str]
    kind: str
    why: str
    structure: RatingStructure | None = None

    @property
    def made_up(self) -> bool:
        """Whether there are no people behind the ratings."""
        return self.structure is not None

    @property
    def order(self) -> tuple[str, ...]:
        """The groups there are, in their order."""
        found = set(self.groups.values())
        known = (*GROUPS, OTHER) if not self.made_up else tuple(sorted(found))
        return tuple(group for group in known if group in found)

    def expected(self, users: Any, items: Any) -> np.ndarray | None:
        """Return the stars that who knew the whole structure would foretell; None for ratings of people."""
        if self.structure is None:
            return None
        match = self._match(self.ratings.user, self.ratings.item)
        return self._stars(users, items, float(match.mean()), float(match.std()))

    def _match(self, users: Any, items: Any) -> np.ndarray:
        made = self.structure
        assert made is not None
        rows, columns = np.searchsorted(made.users, users), np.searchsorted(made.items, items)
        found: np.ndarray = np.einsum("nt,nt->n", made.user_tastes[rows], made.item_tastes[columns])
        return found

    def _stars(self, users: Any, items: Any, mean: float, spread: float) -> np.ndarray:
        from narrows.datasets.generators import MATCH, MEAN_STARS

        made = self.structure
        assert made is not None
        stars = MEAN_STARS + MATCH / max(spread, 1e-6) * (self._match(users, items) - mean)
        stars += made.bias[np.searchsorted(made.users, users)] + made.quality[np.searchsorted(made.items, items)]
        return np.clip(stars, 0.5, 5.0)


def load_movies(data: str | None = None, *, seed: int = 0) -> MovieData:
    """Load the ratings of the lab.

    Parameters
    ----------
    data : {"movielens-small", "made-up"} or None
        Which. None takes MovieLens, and made-up ratings where it is neither on this machine nor to be fetched.
    seed : int, default 0
        Of made-up ratings.

    Returns
    -------
    MovieData

    Raises
    ------
    DataError
        If there are none of that name, or MovieLens was asked for and cannot be had.
    """
    if data is not None and data not in DATA:
        raise DataError(f"The lab movies runs on {' or '.join(DATA)}, not on {data!r}.")
    if data == "made-up":
        return made_up_movies(*SIZES, seed=seed, why="They were asked for.")
    try:
        return _movielens()
    except DownloadError as error:
        if data is not None:
            raise
        return made_up_movies(*SIZES, seed=seed, why=f"MovieLens could not be had. {error}")


def made_up_movies(n_users: int, n_items: int, n_ratings: int, *, seed: int = 0, why: str = "") -> MovieData:
    """Make ratings up, of films that each have one taste most.

    Parameters
    ----------
    n_users, n_items, n_ratings : int
        Sizes.
    seed : int, default 0
        Of all of it.
    why : str, default ""
        Why they are made up.

    Returns
    -------
    MovieData

    Examples
    --------
    >>> from narrows.labs.movies_data import made_up_movies
    >>> movies = made_up_movies(100, 50, 1000)
    >>> movies.order[0], movies.made_up
    ('Taste 1', True)
    """
    ratings, structure = datasets.make_ratings(n_users, n_items, n_ratings, random_state=seed, return_structure=True)
    tastes = structure.item_tastes.argmax(1)
    groups = {item: f"Taste {taste + 1}" for item, taste in zip(structure.items.tolist(), tastes, strict=True)}
    return MovieData(ratings, groups, "taste", why, structure)


def _movielens() -> MovieData:
    from narrows.datasets.download import archive_members
    from narrows.datasets.records import RATINGS

    ratings = datasets.load_ratings(MOVIELENS)
    (_, films), _ = archive_members(RATINGS[MOVIELENS])
    rows: Any = csv.DictReader(io.StringIO(films.decode("utf-8"), newline=""))
    groups = {int(row["movieId"]): _group(row["genres"].split("|")) for row in rows}
    return MovieData(ratings, groups, "genre", "")


def _group(genres: list[str]) -> str:
    return next((name for name, some in GROUPS.items() if not set(some).isdisjoint(genres)), OTHER)
