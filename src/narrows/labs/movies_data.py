"""The ratings of the lab on films: MovieLens where it is to be had, otherwise ones made up with a known structure."""

import csv
import io
from dataclasses import dataclass
from typing import Any

from narrows import datasets
from narrows.datasets import Ratings
from narrows.errors import DataError, DownloadError

__all__ = ["DATA", "MovieData", "load_movies", "make_movies"]

DATA = ("movielens-small", "made-up")

SIZES = (600, 3000, 60_000)
"""Users, films and ratings where they are made up: as many users as MovieLens has, and fewer films."""

GENRES = {
    "Animation": ("Animation",),
    "Horror": ("Horror",),
    "Sci-fi, fantasy": ("Sci-Fi", "Fantasy"),
    "War, western": ("War", "Western"),
    "Romance, musical": ("Romance", "Musical"),
    "Crime, thriller": ("Crime", "Film-Noir", "Mystery", "Thriller"),
    "Action, adventure": ("Action", "Adventure"),
    "Comedy": ("Comedy",),
    "Drama": ("Drama",),
    "Other": (),
}
"""A film is of the first of these that it has a genre of: those that say most of it come first."""


@dataclass(frozen=True, eq=False)
class MovieData:
    """Ratings, and the genre of each film by its id, or the taste it has most of; no model is given it."""

    ratings: Ratings
    groups: dict[int, str]
    reason: str = ""
    made_up: bool = False

    @property
    def order(self) -> tuple[str, ...]:
        """The groups there are, in their order."""
        found = set(self.groups.values())
        return tuple(group for group in (GENRES if not self.made_up else sorted(found)) if group in found)


def load_movies(data: str | None = None, *, seed: int = 0) -> MovieData:
    """Load the ratings; None takes MovieLens, and made-up ones where it is neither here nor to be downloaded."""
    if data is not None and data not in DATA:
        raise DataError(f"The lab movies runs on {' or '.join(DATA)}, not on {data!r}.")
    if data == "made-up":
        return make_movies(*SIZES, seed=seed, reason="They were asked for.")
    try:
        return _movielens()
    except DownloadError as error:
        if data is not None:
            raise
        return make_movies(*SIZES, seed=seed, reason=f"MovieLens could not be had. {error}")


def make_movies(n_users: int, n_items: int, n_ratings: int, *, seed: int = 0, reason: str = "") -> MovieData:
    """Make ratings up, of films that each have one taste most."""
    ratings, structure = datasets.make_ratings(n_users, n_items, n_ratings, random_state=seed, return_structure=True)
    tastes = structure.item_tastes.argmax(1)
    groups = {item: f"Taste {taste + 1}" for item, taste in zip(structure.items.tolist(), tastes, strict=True)}
    return MovieData(ratings, groups, reason, made_up=True)


def _movielens() -> MovieData:
    from narrows.datasets.download import archive_members
    from narrows.datasets.records import RATINGS

    ratings = datasets.load_ratings(DATA[0])
    (_, films), _ = archive_members(RATINGS[DATA[0]])
    rows: Any = csv.DictReader(io.StringIO(films.decode("utf-8"), newline=""))
    return MovieData(ratings, {int(row["movieId"]): _genre(row["genres"].split("|")) for row in rows})


def _genre(genres: list[str]) -> str:
    return next((name for name, some in GENRES.items() if not set(some).isdisjoint(genres)), "Other")
