"""Options as small values: frozen dataclasses that go to JSON and back.

A choice such as the network, the likelihood or the optimiser is a value with its own settings, for example
``Dense(hidden=(128,))``, rather than a string to parse. Each kind of choice is a *family*: a base class that its
members subclass. A member's lower-case name stands for its default value, so ``network="dense"`` is short for
``network=Dense()``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, get_type_hints

from narrows.schema import conform
from narrows.validation import check_number

__all__ = ["Option", "check_numbers"]


@dataclass(frozen=True)
class Option:
    """Base of all option values.

    A direct subclass opens a family; the classes derived from it are the family's members, found by name.

    Examples
    --------
    >>> from narrows.corruption import Corruption, Gaussian
    >>> Corruption.resolve("gaussian") == Gaussian()
    True
    >>> Corruption.from_json(Gaussian(0.3).to_json())
    Gaussian(sigma=0.3, clip=None)
    """

    _members: ClassVar[dict[str, type[Option]]] = {}

    def __init_subclass__(cls, *, named: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if Option in cls.__bases__:
            cls._members = {}
        elif named:
            cls._members[cls.__name__.lower()] = cls

    def __post_init__(self) -> None:
        # NumPy's numbers become Python's: so a value that was taken from an array goes to JSON as any other.
        for f in fields(self):
            object.__setattr__(self, f.name, _python_value(getattr(self, f.name)))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names that stand for the default values of this family's members."""
        return tuple(sorted(cls._members))

    @classmethod
    def resolve(cls, value: Any) -> Self:
        """Turn a name or a value of this family into a value.

        Parameters
        ----------
        value : str or Option
            A member's name, in any case, or a value of the family.

        Raises
        ------
        ValueError
            For an unknown name.
        TypeError
            For anything that is neither a name nor a value of the family.
        """
        if isinstance(value, cls):
            return value
        kind = cls.__name__.lower()
        if isinstance(value, str):
            member = cls._members.get(value.lower().replace("-", "").replace("_", ""))
            if member is None:
                raise ValueError(f"{kind} {value!r} is unknown; known are {', '.join(cls.names())}")
            return member()  # type: ignore[return-value]
        known = ", ".join(member.__name__ + "(…)" for member in cls._members.values())
        raise TypeError(f"{kind} must be a name or a value such as {known}, got {value!r}")

    def to_json(self) -> dict[str, Any]:
        """Return the value as a plain dictionary that JSON can hold."""
        settings = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {"option": type(self).__name__, **settings}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """Build the value that :meth:`to_json` wrote.

        Raises
        ------
        ValueError
            If the record names no member of this family, or has settings that the member lacks.
        """
        settings = dict(record)
        name = str(settings.pop("option", ""))
        member = cls._members.get(name.lower())
        if member is None:
            raise ValueError(f"{name!r} is no {cls.__name__.lower()} known to this version of narrows")
        known = {f.name for f in fields(member)}
        if unknown := set(settings) - known:
            raise ValueError(f"{name} has no setting {min(unknown)!r}")
        hints = get_type_hints(member)
        for key, value in settings.items():
            conform(value, hints[key], f"{key} of {name}")
        return member(**{name: cls._from_plain(value) for name, value in settings.items()})  # type: ignore[return-value]

    @classmethod
    def _from_plain(cls, value: Any) -> Any:
        if isinstance(value, list):
            return tuple(cls._from_plain(part) for part in value)
        return cls.from_json(value) if isinstance(value, dict) and "option" in value else value


def check_numbers(option: Option, *names: str, **limits: Any) -> None:
    """Refuse settings of an option that :func:`~narrows.validation.check_number` refuses."""
    for name in names:
        check_number(name, getattr(option, name), **limits)


def _python_value(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_python_value(part) for part in value)
    return value.item() if hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0 else value


def _plain(value: Any) -> Any:
    if isinstance(value, Option):
        return value.to_json()
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
