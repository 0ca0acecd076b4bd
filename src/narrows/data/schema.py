"""What the columns of a table are, and why: decided once, kept in the model, shown, and overruled by the user."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from narrows.data.formats import ValueFormat, format_from_json
from narrows.errors import DataError

__all__ = ["KINDS", "Column", "Schema"]

NUMERIC = ("number", "integer", "boolean")
FEATURES = (*NUMERIC, "category", "datetime")
KINDS = (*FEATURES, "time", "text", "identifier", "index", "group", "constant", "nested")
"""What a column can be. The first five are features; ``constant`` is one where it holds numbers or a category."""


@dataclass(frozen=True)
class Column:
    """One column: what it is, why, and what is in it.

    Attributes
    ----------
    name : str
        The column's name.
    kind : str
        One of ``KINDS``.
    why : str
        What the decision rests on.
    type : str
        The Arrow type that it came with.
    missing : float
        The fraction of rows without a value.
    format : ValueFormat or None
        How texts stand for the values.
    levels : list or None
        Of a category the values that occur, in their order.
    ordered : bool
        Whether the order of the levels means something.
    decimals : int or None
        Digits after the point that the values show.
    low, high : int, float, str or None
        The range; of dates as ISO 8601 writes them.
    unit : str
        Of dates and times the unit that all are multiples of: "D" (days), "s", or "us" (microseconds).
    note : str
        What a user should know about it: a value that looks like a mark for missing, say.
    """

    name: str
    kind: str
    why: str
    type: str
    missing: float = 0.0
    format: ValueFormat | None = None
    levels: list[Any] | None = None
    ordered: bool = False
    decimals: int | None = None
    low: Any = None
    high: Any = None
    unit: str = ""
    note: str = ""

    @property
    def is_category(self) -> bool:
        """Whether it becomes a block of columns, one for each level."""
        return self.kind == "category" or (self.kind == "constant" and self.levels is not None)

    @property
    def is_feature(self) -> bool:
        """Whether models learn from it."""
        return self.kind in FEATURES or (self.kind == "constant" and (self.levels is not None or self.low is not None))

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for a file; what is as usual is left out."""
        record = {"name": self.name, "kind": self.kind, "why": self.why, "type": self.type, "missing": self.missing}
        rest = {"levels": self.levels, "ordered": self.ordered, "decimals": self.decimals, "low": self.low}
        rest |= {"high": self.high, "unit": self.unit, "note": self.note}
        record |= {
            key: value for key, value in rest.items() if value is not None and value is not False and value != ""
        }
        return record | ({} if self.format is None else {"format": self.format.to_json()})

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Column:
        """Make it from what :meth:`to_json` gave."""
        return cls(**(record | {"format": format_from_json(record.get("format"))}))


@dataclass(frozen=True)
class Schema:
    """The columns of a table, and what was assumed when it was read.

    Attributes
    ----------
    columns : list of Column
        In the table's order.
    n_rows : int
        Rows that were looked at.
    notes : list of str
        Sentences about the table as a whole: its delimiter, its encoding, names made up.
    options : dict
        How it was asked to be read, for later tables: spellings of missing values, say.
    library : str
        Of what kind it was: "pandas", "polars", "arrow", "dict", "numpy" or "file".

    Examples
    --------
    >>> from narrows.data import read
    >>> schema = read({"id": [7, 8, 9], "size": [1.5, 2.0, None], "sort": ["a", "b", "a"]}).schema
    >>> [(column.name, column.kind) for column in schema.columns]
    [('id', 'identifier'), ('size', 'number'), ('sort', 'category')]
    >>> [column.name for column in schema.features]
    ['size', 'sort']
    """

    columns: list[Column]
    n_rows: int
    notes: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    library: str = "file"

    @property
    def features(self) -> list[Column]:
        """The columns that models learn from."""
        return [column for column in self.columns if column.is_feature]

    @property
    def left_out(self) -> list[Column]:
        """The columns that models do not learn from."""
        return [column for column in self.columns if not column.is_feature]

    @property
    def names(self) -> list[str]:
        """All columns' names."""
        return [column.name for column in self.columns]

    def __getitem__(self, name: str) -> Column:
        """Return a column by its name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise DataError(f"there is no column {name!r}; there are {', '.join(map(repr, self.names[:12]))}")

    def describe_left_out(self) -> list[str]:
        """Say which columns no model learns from, and why."""
        groups: dict[str, list[str]] = {}
        for column in self.left_out:
            groups.setdefault(f"{column.kind}: {column.why}", []).append(column.name)
        return [f"{', '.join(names)} left out ({why}); kinds= says otherwise" for why, names in groups.items()]

    def describe(self) -> list[str]:
        """Say in sentences what was assumed and left out."""
        own = [f"{column.name}: {column.note}" for column in self.columns if column.note]
        return [*self.notes, *self.describe_left_out(), *own]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for a file."""
        own = {"n_rows": self.n_rows, "notes": self.notes, "options": self.options, "library": self.library}
        return {"columns": [column.to_json() for column in self.columns], **own}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Schema:
        """Make it from what :meth:`to_json` gave."""
        return cls(**(record | {"columns": [Column.from_json(column) for column in record["columns"]]}))
