"""What the cells of a text column show of its type, by their spelling."""

from collections import Counter
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from narrows.data.dialect import Dialect

__all__ = ["ColumnType"]

_WHOLE = r"^[ \t]*[-+]?[0-9]+[ \t]*$"
_PADDED = r"^[ \t]*[-+]?0[0-9]+[ \t]*$"
_PLUS = r"^[ \t]*\+[0-9]+[ \t]*$"
_WORDS = r"^[ \t]*[-+]?(?i:inf|infinity|nan)[ \t]*$"


class ColumnType:
    """Finds the type of one column from its cells as they are spelled.

    Whole numbers are int64; if some have leading zeros or do not fit 64 bits the column is text, and so are numbers
    with a plus sign, such as those of telephones. Decimal numbers are float64.
    """

    def __init__(self, dialect: Dialect, is_text: bool = False) -> None:
        mark = "\\" + dialect.decimal
        self._number = rf"^[ \t]*[-+]?([0-9]+{mark}?[0-9]*|{mark}[0-9]+)([eE][-+]?[0-9]+)?[ \t]*$|{_WORDS}"
        self._decimal_mark = dialect.decimal
        self._fraction = rf"^[^{mark}]*{mark}?"
        self._missing_values = pa.array(dialect.missing_values, pa.string())
        self._text = is_text
        self._padded = self._large = self._plus = self._decimal = False
        self._digits = 0
        self.missing: Counter[str] = Counter()

    @property
    def type(self) -> pa.DataType:
        """The column's type, as far as its cells have been seen."""
        if self._text or self._padded:
            return pa.string()
        if self._decimal:
            return pa.float64()
        return pa.string() if self._large or self._plus else pa.int64()

    @property
    def decimals(self) -> int | None:
        """How many digits stand after the decimal mark at most; None for texts."""
        return None if self.type == pa.string() else self._digits

    def converted(self, cells: pa.StringArray) -> pa.Array:
        """Return cells as the column's type, which is another from now on if they are no such numbers."""
        if self._text or self._padded:
            return cells
        if self.type != pa.string() and not _has_padded(cells):
            with suppress(pa.ArrowInvalid):
                return self._cast(cells)
        self.add(cells.drop_null())
        return cells if self.type == pa.string() else self._cast(pc.utf8_trim(cells, " \t"))

    def _cast(self, cells: pa.StringArray) -> pa.Array:
        if self._decimal_mark != "." and self._decimal:
            if pc.any(pc.match_substring(cells, ".")).as_py():
                raise pa.ArrowInvalid("A point is no decimal mark here.")
            cells = pc.replace_substring(cells, self._decimal_mark, ".")
        return pc.cast(cells, self.type)

    def add(self, cells: pa.StringArray) -> None:
        """See some more cells, as they are spelled."""
        if self._text:
            return
        is_missing = pc.is_in(cells, self._missing_values)
        if pc.any(is_missing).as_py():
            for each in cells.filter(is_missing).value_counts().to_pylist():
                self.missing[each["values"]] += each["counts"]
            cells = cells.filter(pc.invert(is_missing))
        if not len(cells):
            return
        if not _all(cells, self._number):
            self._text = True
            return
        whole = pc.match_substring_regex(cells, _WHOLE)
        if not pc.all(whole).as_py():
            self._decimal = True
            fractions = pc.replace_substring_regex(cells.filter(pc.invert(whole)), self._fraction, "")
            digits = pc.utf8_length(pc.replace_substring_regex(fractions, r"[^0-9].*$", ""))
            self._digits = max(self._digits, pc.max(digits).as_py())
            cells = cells.filter(whole)
        self._padded = self._padded or _any(cells, _PADDED)
        self._plus = self._plus or _any(cells, _PLUS)
        self._large = self._large or not _fits(cells)


def _all(cells: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(cells, pattern)).as_py())


def _any(cells: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(cells, pattern)).as_py())


def _fits(cells: pa.Array) -> bool:
    """Return whether whole numbers fit 64 bits."""
    long = cells.filter(pc.greater(pc.binary_length(cells), 18))
    if not len(long):
        return True
    try:
        pc.cast(pc.replace_substring_regex(long, r"[ \t+]", ""), pa.int64())
    except pa.ArrowInvalid:
        return False
    return True


def _has_padded(cells: pa.StringArray) -> bool:
    """Return whether some cell begins with 0 and a digit, or 0x, after a minus or none: numbers to pyarrow's casts."""
    offsets = np.frombuffer(cells.buffers()[1], np.int32)[cells.offset : cells.offset + len(cells) + 1]
    data = np.frombuffer(cells.buffers()[2] or b"", np.uint8)
    starts, lengths = offsets[:-1], np.diff(offsets)
    if not len(data):
        return False
    first = data[np.minimum(starts, len(data) - 1)]
    for places in (starts[(first == ord("0")) & (lengths > 1)], starts[(first == ord("-")) & (lengths > 2)] + 1):
        following = data[places + 1]
        if ((data[places] == ord("0")) & ((following - np.uint8(48) < 10) | (following | 0x20 == ord("x")))).any():
            return True
    return False
