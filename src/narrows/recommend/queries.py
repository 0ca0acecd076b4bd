"""What users hand in, in their own ids: users, items, histories, pairs; and the tidy frames they get back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from narrows.errors import DataError, NarrowsError
from narrows.recommend.interactions import Columns, Interactions, plain, read_interactions

__all__ = [
    "by_title",
    "check_kind",
    "column_of_ids",
    "frame_of",
    "frames_like",
    "history_interactions",
    "places_of",
    "ratings_in",
    "read_pairs",
    "read_titles",
    "rows_or_none",
]


def frames_like(data: Any) -> str:
    """Say which library a frame is of; pandas for everything else."""
    return "polars" if type(data).__module__.partition(".")[0] == "polars" else "pandas"


def frame_of(columns: dict[str, Any], library: str) -> Any:
    """Make a tidy frame.

    Raises
    ------
    NarrowsError
        If pandas is not installed.
    """
    if library == "polars":
        import polars as pl

        return pl.DataFrame(columns)
    try:
        import pandas as pd
    except ImportError:
        raise NarrowsError('tables of recommendations need pandas: pip install "narrows[frames]"') from None
    return pd.DataFrame(columns)


def column_of_ids(ids: Any, what: str) -> list[Any]:
    """Take one id, or some, for a list of plain values."""
    if isinstance(ids, (str, bytes)) or np.isscalar(ids) or ids is None:
        ids = [ids]
    if not isinstance(ids, Iterable):
        raise DataError(f"{what} must be an id or a list of ids, got {ids!r}")
    found = [plain(value) for value in ids]
    if any(not isinstance(value, (str, int, float, bool)) for value in found):
        raise DataError(f"{what} must be ids, which are texts or numbers, got {ids!r}")
    return found


def check_kind(strange: list[Any], places: dict[Any, int], what: str) -> None:
    """Refuse ids that cannot be any of the model's, being texts where those are numbers, or the other way round."""
    texts = isinstance(next(iter(places)), str)
    for value in strange:
        if isinstance(value, str) != texts:
            kinds = ("texts", "numbers") if texts else ("numbers", "texts")
            raise DataError(f"the ids of the items are {kinds[0]}, and {what} holds {value!r}")


def by_title(log: Interactions, places: dict[Any, int], titles: dict[Any, str]) -> Interactions:
    """Take titles for the ids they belong to, where a history names items so.

    Raises
    ------
    DataError
        If an item is neither: not of the kind of the ids, and no title of one item.
    """
    ids = log.items.tolist()
    if all(value in places or isinstance(value, str) == isinstance(next(iter(places)), str) for value in ids):
        return log
    owners: dict[str, list[Any]] = {}
    for item, title in titles.items():
        owners.setdefault(title, []).append(item)
    found = [owners.get(value, [value])[0] if len(owners.get(value, [0])) == 1 else value for value in ids]
    check_kind([value for value in found if value not in places], places, "the history")
    return replace(log, items=_array(found))


def history_interactions(
    history: Any, columns: Columns, known: Columns | None = None, *, rated: bool = False, width: int | None = None
) -> Interactions:
    """Take one user's history for a log of one user.

    Parameters
    ----------
    history : mapping, list, frame or sparse row
        Items and ratings (``{"a": 5}``), items alone (``["a", "b"]``), pairs (``[("a", 5)]``), a frame with a column of
        items and perhaps of ratings, or a sparse row.
    columns, known : Columns
        Which column of a frame holds what, as asked for and as it was in the fit.
    rated : bool
        Whether the values of a sparse row are ratings.
    width : int, optional
        How many columns a sparse row must have.
    """
    if isinstance(history, Interactions) or (hasattr(history, "columns") and callable(history.columns)):
        log = read_interactions(history, columns)
        if len(log.users) != 1:
            raise DataError(
                f"a history is of one user, not of {len(log.users):,}: give those to recommend(histories=…)"
            )
        return log
    if sparse.issparse(history):
        if history.shape[0] != 1:
            raise DataError(
                f"a history is one user's row, not {history.shape[0]:,}: give those to recommend(histories=…)"
            )
        if width is not None and history.shape[1] != width:
            raise DataError(f"a sparse history has a column for each of the {width:,} items, not {history.shape[1]:,}")
        return read_interactions(history, columns, rated=rated or None) if history.nnz else _empty()
    if hasattr(history, "columns") and hasattr(history, "__getitem__") and not callable(history.columns):
        return _of_frame(history, columns, known)
    items, ratings = _listed(history)
    if not items:
        return _empty()
    table: dict[str, Any] = {"user": np.zeros(len(items), np.int64), "item": _array(items)}
    if ratings is not None:
        table["rating"] = ratings
    return read_interactions(table, Columns("user", "item", "rating" if ratings is not None else None, None))


def _listed(history: Any) -> tuple[list[Any], list[Any] | None]:
    """Part a mapping, a list of items or one of pairs into items and ratings."""
    if hasattr(history, "to_dict") and hasattr(history, "index"):
        # A pandas Series: items in its index, ratings in its values.
        history = history.to_dict()
    if isinstance(history, Mapping):
        return list(history), list(history.values())
    if isinstance(history, (str, bytes)) or not isinstance(history, Iterable):
        raise DataError(f"a history is a list of items, or items with ratings, not {history!r}")
    given = list(history)
    if given and all(isinstance(entry, (tuple, list)) and len(entry) == 2 for entry in given):
        return [entry[0] for entry in given], [entry[1] for entry in given]
    return given, None


def _array(values: list[Any]) -> np.ndarray:
    found = np.empty(len(values), object)
    found[:] = [plain(value) for value in values]
    return found


def _of_frame(frame: Any, columns: Columns, known: Columns | None) -> Interactions:
    given = {str(name): name for name in frame.columns}
    if not len(frame):
        return _empty()
    # The column of users, if it is there, is not that of items.
    users = {columns.user, known.user if known is not None else None}
    rest = [name for name in given if name not in users]
    owners = {plain(value) for name in given if name in users for value in frame[given[name]].to_numpy()}
    if len(owners) > 1:
        raise DataError(f"a history is one user's, and the frame has {len(owners):,}: use recommend(histories=…)")
    found = Columns("\0", columns.item, columns.rating, None).found(["\0", *rest], known)
    table: dict[str, Any] = {"user": np.zeros(len(frame), np.int64), "item": frame[given[str(found.item)]].to_numpy()}
    if found.rating is not None:
        table["rating"] = frame[given[found.rating]].to_numpy()
    return read_interactions(table, Columns("user", "item", "rating" if found.rating is not None else None, None))


def _empty() -> Interactions:
    return Interactions(np.zeros(1, np.int64), np.zeros(0, np.int64), sparse.csr_array((1, 0), dtype=np.float32))


def places_of(ids: list[Any], places: dict[Any, int]) -> np.ndarray:
    """Return the columns of items, -1 for those that are not known."""
    return np.array([places.get(value, -1) for value in ids], dtype=np.int64)


def ratings_in(rows: sparse.csr_array, *, rated: bool) -> sparse.csr_array:
    """Return the ratings in users' rows: none where the rows tell only what was taken."""
    return rows if rated else sparse.csr_array(rows.shape, dtype=rows.dtype)


def rows_or_none(matrix: sparse.csr_array, rows: np.ndarray) -> sparse.csr_array:
    """Return rows of a matrix, an empty one where there is -1."""
    if (rows >= 0).all():
        return matrix[rows]
    counts = np.where(rows < 0, 0, np.diff(matrix.indptr)[rows])
    there = matrix[rows[rows >= 0]]
    return sparse.csr_array(
        (there.data, there.indices, np.concatenate([[0], np.cumsum(counts)])), (len(rows), matrix.shape[1])
    )


def read_pairs(pairs: Any, columns: Columns, known: Columns | None) -> tuple[list[Any], list[Any]]:
    """Take pairs of users and items: a frame, a log, a mapping, or a list of tuples."""
    if isinstance(pairs, Interactions) or (hasattr(pairs, "columns") and callable(pairs.columns)):
        pairs = pairs.columns()
    if hasattr(pairs, "columns") and hasattr(pairs, "__getitem__"):
        pairs = {str(name): pairs[name].to_numpy() for name in pairs.columns}
    if isinstance(pairs, Mapping):
        table = {str(name): values for name, values in pairs.items()}
        found = Columns(columns.user, columns.item, None, None).found(list(table), known)
        users, items = column_of_ids(table[str(found.user)], "users"), column_of_ids(table[str(found.item)], "items")
        if len(users) != len(items):
            raise DataError(f"there are {len(users):,} users and {len(items):,} items in the pairs")
        return users, items
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise DataError("pairs must be a frame with columns of users and items, or a list of (user, item)")
    listed = list(pairs)
    if any(not isinstance(pair, (tuple, list, np.ndarray)) or len(pair) != 2 for pair in listed):
        raise DataError("pairs must be a frame with columns of users and items, or a list of (user, item)")
    return [plain(user) for user, _ in listed], [plain(item) for _, item in listed]


def read_titles(titles: Any, columns: Columns) -> dict[Any, str]:
    """Take titles: a mapping from ids, a frame or path with a column of items and one of titles."""
    import os

    if titles is None:
        return {}
    if isinstance(titles, (str, os.PathLike)):
        from narrows.tables import read_named

        table: dict[str, Any] = dict(read_named(titles))
    elif isinstance(titles, Mapping):
        return {plain(item): str(title) for item, title in titles.items()}
    elif hasattr(titles, "columns") and hasattr(titles, "__getitem__"):
        table = {str(name): titles[name].to_numpy() for name in titles.columns}
    else:
        raise DataError(f"titles must be a mapping, a frame or the path of a table, got {type(titles).__name__}")
    names = list(table)
    known = [name for name in names if name == columns.item]
    item = known[0] if known else Columns("auto", "auto", None, None).found(["user", *names]).item
    usual = [name for name in names if name.lower() in ("title", "name", "titles") and name != item]
    rest = usual or [name for name in names if name != item]
    if not rest:
        raise DataError(f"titles need a column beside that of items, and there is only {item!r}")
    if np.asarray(table[rest[0]]).dtype.kind not in "OU":
        raise DataError(f"titles are texts, and column {rest[0]!r} holds {np.asarray(table[rest[0]]).dtype}")
    return {plain(key): str(value) for key, value in zip(table[str(item)], table[rest[0]], strict=True)}
