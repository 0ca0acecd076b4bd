"""What the cells of a text column show of its type, by their spelling."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from narrows.data.dialect import Dialect

__all__ = ["CellCheck", "Spelling"]

_WHOLE = r"^[ \t]*[-+]?[0-9]+[ \t]*$"
_PADDED = r"^[ \t]*[-+]?0[0-9]+[ \t]*$"
_PLUS = r"^[ \t]*\+[0-9]+[ \t]*$"
_WORDS = r"^[ \t]*[-+]?(?i:inf|infinity|nan)[ \t]*$"
_CARRY_BYTES = 1 << 23


class Spelling:
    """Finds the type of one column from its cells as they are spelled.

    Whole numbers are int64; if some have leading zeros or do not fit 64 bits the column is text, and so are numbers
    with a plus sign, such as those of telephones. Decimal numbers are float64.
    """

    def __init__(self, dialect: Dialect, text: bool = False) -> None:
        mark = "\\" + dialect.decimal
        self._number = rf"^[ \t]*[-+]?([0-9]+{mark}?[0-9]*|{mark}[0-9]+)([eE][-+]?[0-9]+)?[ \t]*$|{_WORDS}"
        self._fraction = rf"^[^{mark}]*{mark}?"
        self._missing_values = pa.array(dialect.missing_values, pa.string())
        self._text = text
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

    def add(self, cells: pa.StringArray) -> None:
        """See some more cells."""
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


class CellCheck:
    """Finds, in the bytes of a table, numbers that pyarrow reads but that are no plain numbers: 007, 0x1F, +49.

    They are looked for with a few comparisons of whole blocks. Only where there are some does it matter in which column
    they stand, and delimiters are counted; a block whose rows are not all of one length is suspicious as a whole.
    """

    def __init__(self, delimiter: str, quote: str | None, newline: str, n_columns: int, numbers: set[int]) -> None:
        self._delimiter, self._newline = ord(delimiter), ord(newline)
        self._quote = quote.encode() if quote else None
        self._n_columns = n_columns
        self._is_number = np.zeros(n_columns, bool)
        self._is_number[list(numbers)] = True
        self._begins = np.zeros(256, bool)
        self._begins[[self._delimiter, 10, 13, *(self._quote or b"")]] = True
        self._blank = np.zeros(256, bool)
        self._blank[[byte for byte in b" \t" if byte != self._delimiter]] = True
        self._carry = b""

    def is_suspicious(self, chunk: bytes) -> bool:
        """Return whether the next bytes, the last if empty, may hold such a number in a column of numbers."""
        if not self._is_number.any():
            return False
        block = self._carry + (chunk or self._newline.to_bytes())
        end = self._row_end(block)
        self._carry = block[end:]
        if len(self._carry) > max(_CARRY_BYTES, 2 * len(chunk)):
            return True
        values = np.frombuffer(block, np.uint8, end)
        starts = self._starts(values)
        if not len(starts):
            return False
        columns = self._columns(values, starts)
        return columns is None or bool(self._is_number[columns].any())

    def _row_end(self, block: bytes) -> int:
        """Return where the last whole row ends: a line end after an even number of quotes."""
        newline = self._newline.to_bytes()
        end = block.rfind(newline) + 1
        if self._quote:
            odd = block.count(self._quote, 0, end) % 2
            while end and odd:
                before = block.rfind(newline, 0, end - 1) + 1
                odd = (odd + block.count(self._quote, before, end)) % 2
                end = before
        return end

    def _starts(self, values: np.ndarray) -> np.ndarray:
        """Return where a cell begins with such a number."""
        following = values[1:] - np.uint8(48)
        hits = (following < 10) | (values[1:] | 0x20 == ord("x"))
        hits &= (values[:-1] == ord("0")) | (values[:-1] == ord("+"))
        starts = np.flatnonzero(hits)
        before = starts - 1
        signed = (before >= 0) & ((values[before] == ord("-")) | (values[before] == ord("+")))
        before -= signed
        while (blank := (before >= 0) & self._blank[values[before]]).any():
            before -= blank
        return starts[(before < 0) | self._begins[values[before]]]

    def _columns(self, values: np.ndarray, starts: np.ndarray) -> np.ndarray | None:
        """Return the columns of some places; None if the rows are not plainly of one length."""
        newlines = values == self._newline
        is_separator = (values == self._delimiter) | newlines
        if self._quote:
            is_quote = values == self._quote[0]
            quotes = np.flatnonzero(is_quote)
            if len(quotes):
                ends = self._begins[values[quotes - 1]] | self._begins[values[np.minimum(quotes + 1, len(values) - 1)]]
                if not ends.all():
                    return None
                is_separator &= np.bitwise_xor.accumulate(is_quote.view(np.uint8)) == 0
        separators = np.flatnonzero(is_separator)
        rows, rest = divmod(len(separators), self._n_columns)
        line_ends = newlines[separators]
        if rest or line_ends.sum() != rows or not line_ends[self._n_columns - 1 :: self._n_columns].all():
            return None
        return np.searchsorted(separators, starts) % self._n_columns
