"""What a codec's options must be."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

from narrows.codec.choosing import Bound
from narrows.errors import DataError

if TYPE_CHECKING:
    from narrows.codec.codec import Codec
    from narrows.codec.layout import Layout

__all__ = ["bounds_of", "check_options"]


def check_options(codec: Codec) -> None:
    """Refuse options that cannot be.

    Raises
    ------
    DataError
        The message says which, and what it may be.
    """
    errors = codec.max_error.values() if isinstance(codec.max_error, dict) else [codec.max_error]
    for error in errors:
        if error is not None and not (_is_number(error) and 0 < error < math.inf):
            raise DataError(f"max_error must be a number above 0, for all columns or of each, not {error!r}")
    if not (_is_number(codec.max_seconds) and codec.max_seconds > 0):
        raise DataError(f"max_seconds must be a number above 0, not {codec.max_seconds!r}")
    if codec.n_jobs is not None and not (isinstance(codec.n_jobs, numbers.Integral) and codec.n_jobs > 0):
        raise DataError(f"n_jobs must be a whole number above 0, or None, not {codec.n_jobs!r}")
    if codec.relative and codec.max_error is None:
        raise DataError("relative says how max_error is meant, and there is no max_error")
    if codec.code_only and codec.max_error is not None:
        raise DataError("code_only gives no bound on the error: leave max_error or code_only out")
    if codec.n_components is not None and not codec.code_only:
        raise DataError("n_components is the size of the code that code_only keeps: say code_only=True too")


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def bounds_of(codec: Codec, layout: Layout) -> dict[int, Bound]:
    """Return how far off the values of each column may be, of those that may be at all.

    Raises
    ------
    DataError
        If a column is named that is not there, or that holds no numbers.
    """
    if codec.max_error is None or layout.picture is not None:
        return {}
    schema, own = layout.schema(), layout.numbers()
    if not isinstance(codec.max_error, dict):
        bound = Bound(float(codec.max_error), relative=codec.relative)
        return {place: bound for _, place in own if place is not None and schema[place][1].kind == "f"}
    found = {}
    for name, error in codec.max_error.items():
        if name is None or error is None:
            continue
        places = [place for known, place in own if known == name]
        if not places and isinstance(name, numbers.Integral) and 0 <= int(name) < len(own):
            places = [own[int(name)][1]]
        if not places:
            raise DataError(f"max_error names a column {name!r} that is not there")
        for place in places:
            if place is None:
                raise DataError(f"max_error names column {name!r}, which holds no numbers that may be off")
            found[place] = Bound(float(error), relative=codec.relative)
    return found
