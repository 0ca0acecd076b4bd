"""Choosing columns of a file by name or by position."""

from collections.abc import Sequence

from narrows.errors import DataError

__all__ = ["choose", "named"]

_MOST_SHOWN = 12


def choose(wanted: Sequence[str | int] | None, names: Sequence[str] | None, n_columns: int, what: str) -> list[int]:
    """Return the positions of the wanted columns, in the order they were asked for."""
    if wanted is None:
        return list(range(n_columns))
    if isinstance(wanted, str):
        raise DataError(f"columns= must be a list of names, not one text: write columns=[{wanted!r}].")
    positions = [_position(column, names, n_columns, what) for column in wanted]
    if not positions:
        raise DataError(f"columns= is empty, so nothing of {what} would be read.")
    for k, position in enumerate(positions):
        if position in positions[:k]:
            raise DataError(f"columns= names column {wanted[k]!r} of {what} twice.")
    return positions


def _position(column: str | int, names: Sequence[str] | None, n_columns: int, what: str) -> int:
    """Return where one column is."""
    if isinstance(column, str) and names is not None:
        found = [position for position, name in enumerate(names) if name == column]
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(f"{what} has {len(found)} columns named {column!r}; choose one by its position.")
        shown = ", ".join(repr(name) for name in names[:_MOST_SHOWN])
        more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
        raise DataError(f"{what} has no column named {column!r}; it has {shown}{more}.")
    if isinstance(column, str) and not (column.isascii() and column.isdigit()):
        raise DataError(f"{what} has no column names, so {column!r} cannot be found; choose by position, from 0.")
    position = int(column)
    if not 0 <= position < n_columns:
        raise DataError(f"{what} has no column {position}: it has {n_columns}, counted from 0.")
    return position


def named(positions: Sequence[int], names: Sequence[str] | None) -> list[str] | None:
    """Return the chosen columns' names, None where the file has none."""
    return None if names is None else [names[position] for position in positions]
