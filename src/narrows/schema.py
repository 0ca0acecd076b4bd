"""Schemas: what a plain value from a file must be, as the types it is declared with."""

import math
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from narrows.errors import ModelFileError

__all__ = ["Count", "Number", "Range", "Share", "conform"]

LARGEST = 2**63


@dataclass(frozen=True)
class Range:
    """The numbers from ``low`` to ``high``, without ``low`` itself where it is ``open_low``."""

    low: float
    high: float = math.inf
    open_low: bool = False

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.open_low else self.low <= value) and value <= self.high


Count = Annotated[int, Range(1)]
Number = Annotated[int, Range(0)]
Share = Annotated[float, Range(0, 1)]


def conform(value: Any, kind: Any, where: str) -> None:
    """Refuse a value that JSON gave and that is not what it was declared to be, with a ModelFileError.

    A TypedDict has all of its keys and no others; a float is finite; JSON writes a tuple as a list.

    Examples
    --------
    >>> from narrows.schema import Count, conform
    >>> conform([3, 4], list[Count], "the shape")
    >>> conform([3, 0], list[Count], "the shape")
    Traceback (most recent call last):
    narrows.errors.ModelFileError: the shape cannot be [3, 0]
    """
    if not _conforms(value, kind):
        raise ModelFileError(f"{_find(value, kind, where)}")


def _find(value: Any, kind: Any, where: str) -> str:
    """Say which part of a value is wrong: of a dictionary with known keys the one, of anything else the whole."""
    if is_typeddict(kind) and isinstance(value, dict):
        hints, required = _keys(kind)
        for key in sorted(required - set(value)):
            return f"{where} has no {key!r}"
        for key, part in value.items():
            if key not in hints:
                return f"{where} has an unknown {key!r}"
            if not _conforms(part, hints[key]):
                return _find(part, hints[key], f"{key!r} of {where}")
    shown = repr(value)
    return f"{where} cannot be {shown if len(shown) <= 60 else shown[:59] + '…'}"


def _conforms(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if kind is None or kind is NoneType:
        return value is None
    if kind is float:
        return type(value) in (int, float) and abs(value) < (LARGEST if isinstance(value, int) else math.inf)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST
    if is_typeddict(kind):
        hints, required = _keys(kind)
        fits = isinstance(value, dict) and required <= set(value) <= set(hints)
        return fits and all(_conforms(part, hints[key]) for key, part in value.items())
    if isinstance(kind, type) and get_origin(kind) is None:
        # Of an option within an option only that it is written as one; its own settings are checked where it is made.
        return isinstance(value, kind if kind in (bool, str) else dict)
    return _conforms_to_generic(value, get_origin(kind), get_args(kind))


def _conforms_to_generic(value: Any, origin: Any, parts: tuple[Any, ...]) -> bool:
    if origin in (Union, UnionType):
        return any(_conforms(value, part) for part in parts)
    if origin is Annotated:
        return _conforms(value, parts[0]) and all(value in span for span in parts[1:])
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin is dict:
        return isinstance(value, dict) and all(_conforms(part, parts[1]) for part in value.values())
    if not isinstance(value, (list, tuple)):
        return False
    if origin is tuple and parts[-1] is not ...:
        return len(value) == len(parts) and all(map(_conforms, value, parts))
    return all(_conforms(part, parts[0]) for part in value)


def _keys(kind: Any) -> tuple[dict[str, Any], set[str]]:
    """Return the keys of a typed dictionary with what their values must be, and those that it must have."""
    hints = get_type_hints(kind, include_extras=True)
    optional = {key for key, hint in hints.items() if get_origin(hint) is NotRequired}
    return {key: get_args(hint)[0] if key in optional else hint for key, hint in hints.items()}, set(hints) - optional
