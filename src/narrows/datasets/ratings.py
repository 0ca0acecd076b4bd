"""Ratings of items by users: what loading them gives, and the named sets."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.datasets.download import archive_members
from narrows.datasets.records import RATINGS, record_of
from narrows.errors import DataError, DownloadError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ratings", "load_ratings"]

COLUMNS = ("user", "item", "rating", "timestamp")


@dataclass(frozen=True, eq=False, repr=False)
class Ratings:
    """Who took which item, and how they liked it: one row an interaction, in columns.

    Attributes
    ----------
    user, item : ndarray of shape (n_interactions,)
        Ids. They are names, not positions: they need not begin at 0 nor be without gaps.
    rating : ndarray of shape (n_interactions,) or None
        The stars given, as float32; None where it is only known that the item was taken.
    timestamp : ndarray of int64, shape (n_interactions,) or None
        When, in seconds since 1970 (UTC); None where that is not known.
    titles : dict or None
        The title of each item id; may name items that nobody took.
    name : str
        What it is called.
    source : str
        Where it came from: an address, a folder, or ``"made up"``.
    licence, citation : str
        On what terms it may be used, and how to cite it.
    """

    user: np.ndarray
    item: np.ndarray
    rating: np.ndarray | None = None
    timestamp: np.ndarray | None = None
    titles: dict[int, str] | None = None
    name: str = "ratings"
    source: str = ""
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        for name, column in self.columns().items():
            if column.shape != (len(self),):
                raise DataError(f"The column {name!r} has shape {column.shape}, and user {self.user.shape}.")

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns there are by name: user and item, rating and timestamp where these are known."""
        found = {name: getattr(self, name) for name in COLUMNS}
        return {name: column for name, column in found.items() if column is not None}

    def to_frame(self) -> pd.DataFrame:
        """Return the columns as a pandas frame."""
        try:
            import pandas as pd
        except ImportError as error:
            raise DataError('Frames need pandas, which is not installed: pip install "narrows[frames]".') from error
        return pd.DataFrame(self.columns())

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        kind = "interactions" if self.rating is None else "ratings"
        users, items = len(np.unique(self.user)), len(np.unique(self.item))
        counts = f"{len(self):,} {kind} of {users:,} users with {items:,} items"
        return f"{type(self).__name__}({self.name!r}: {counts})"


def load_ratings(name: str, *, progress: bool | None = None) -> Ratings:
    """Load a named set of ratings, downloading it if it is not on this machine yet.

    MovieLens is looked for in ``$NARROWS_DATA/ml-latest-small/`` (``ratings.csv`` and ``movies.csv``, or the archive
    ``ml-latest-small.zip``), then in the cache folder (``$NARROWS_CACHE``, or the user's own), then fetched into the
    cache folder. The content of both files is checked every time.

    Parameters
    ----------
    name : {"movielens-small"}
        MovieLens latest-small: 100,836 ratings, from half a star to five, that 610 users gave to 9,724 films.
    progress : bool, default=None
        Show a bar while downloading; None does so if the standard error is a terminal.

    Returns
    -------
    Ratings
        In the order of the file: by user, then by film.

    Raises
    ------
    DataError
        If there is none of that name.
    DownloadError
        If it could not be fetched or is not what it should be; the message says where to put it by hand.

    Examples
    --------
    >>> from narrows import datasets
    >>> films = datasets.load_ratings("movielens-small")  # doctest: +SKIP
    >>> films  # doctest: +SKIP
    Ratings('movielens-small': 100,836 ratings of 610 users with 9,724 items)
    >>> films.titles[1]  # doctest: +SKIP
    'Toy Story (1995)'
    """
    record = record_of(name, RATINGS, "set of ratings")
    (rows, items), source = archive_members(record, progress=progress)
    # Seconds since 1970 are exact in float64.
    table = np.loadtxt(io.StringIO(rows.decode("ascii")), delimiter=",", skiprows=1, ndmin=2, dtype=np.float64)
    films: Any = csv.DictReader(io.StringIO(items.decode("utf-8"), newline=""))
    ratings = Ratings(
        user=table[:, 0].astype(np.int64),
        item=table[:, 1].astype(np.int64),
        rating=table[:, 2].astype(np.float32),
        timestamp=table[:, 3].astype(np.int64),
        titles={int(film["movieId"]): film["title"] for film in films},
        name=record.name,
        source=source,
        licence=record.licence,
        citation=record.citation,
    )
    found = (len(np.unique(ratings.user)), len(np.unique(ratings.item)), len(ratings))
    expected = (record.n_users, record.n_items, record.n_ratings)
    if found != expected:
        raise DownloadError(f"The files of {record.name} hold {found} users, items and ratings, not {expected}.")
    return ratings
