"""How a text table is written: its delimiter, quote, decimal mark, encoding and header, found from its first lines."""

import codecs
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from narrows.data.header import NUMBER, counts_from_zero, find_header, made_names
from narrows.errors import DataError

__all__ = ["MISSING_VALUES", "Dialect", "Finding", "find_dialect"]

MISSING_VALUES = ("", "NULL", "null", "N/A", "n/a", "#N/A", "NA", "NaN", "nan", "None", "<NA>", "?", "-")
"""How a missing value is spelled, unless said otherwise."""

_DELIMITERS = (",", ";", "\t", "|", "::")
_DELIMITER_NAMES = {"\t": "tab", " ": "space", "": "runs of spaces"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_TEXT = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy file",
    b"SQLite format": "an SQLite database",
    b'{"': "JSON",
    b'[{"': "JSON",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"<?xml": "XML",
}


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    Parameters
    ----------
    delimiter : str, default=","
        What stands between two cells, of one character or more; empty for runs of spaces and tabs.
    quote : str or None, default='"'
        What a cell is enclosed by if it holds a delimiter or a line end; None if nothing does.
    decimal : {".", ","}, default="."
        The decimal mark.
    thousands : str or None, default=None
        The mark between groups of three digits, where the first lines have some.
    encoding : str, default="utf-8"
        The encoding, as Python names it.
    header : bool, default=True
        Whether the first line holds the columns' names.
    missing_values : tuple of str
        The cells that are missing values, as they are spelled.

    Examples
    --------
    >>> from narrows.data.dialect import Dialect
    >>> Dialect(delimiter=";", decimal=",").describe()
    "delimiter ';', decimal mark ','"
    """

    delimiter: str = ","
    quote: str | None = '"'
    decimal: str = "."
    thousands: str | None = None
    encoding: str = "utf-8"
    header: bool = True
    missing_values: tuple[str, ...] = MISSING_VALUES

    def __post_init__(self) -> None:
        if self.decimal not in (".", ","):
            raise DataError(f"The decimal mark is '.' or ',', not {self.decimal!r}: see --decimal.")

    def describe(self) -> str:
        """Say in a few words what is unlike a table with commas, decimal points, UTF-8 and a header."""
        parts = []
        if self.delimiter != ",":
            parts.append(f"delimiter {_DELIMITER_NAMES.get(self.delimiter, repr(self.delimiter))}")
        if self.quote not in ('"', None):
            parts.append(f"quote {self.quote}")
        if self.decimal != ".":
            parts.append(f"decimal mark {self.decimal!r}")
        if self.thousands:
            parts.append(f"thousands mark {self.thousands!r}")
        if self.encoding != "utf-8":
            parts.append(f"encoding {self.encoding}")
        if not self.header:
            parts.append("no header")
        return ", ".join(parts)


@dataclass
class Finding:
    """What the first lines of a text table show.

    ``cells`` are the columns of the first rows, as they are spelled; ``skip_rows`` the lines before the data, with the
    header and empty ones; ``index_candidate`` says that the first column has no name and begins 0, 1, 2, ...
    """

    dialect: Dialect
    names: list[str]
    cells: list[pa.Array]
    skip_rows: int
    index_candidate: bool
    notes: list[str]


def find_dialect(
    sample: bytes,
    place: str,
    *,
    whole: bool = True,
    delimiter: str | None = None,
    quote: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    missing_values: Sequence[str] | None = None,
) -> Finding:
    """Find how a text table is written from its first bytes; what is given is not looked for."""
    notes: list[str] = []
    _refuse_other_formats(sample, place)
    encoding = _checked_encoding(encoding) if encoding else _find_encoding(sample, notes)
    text = _decoded(sample, encoding, place, whole)
    quote = '"' if quote is None else quote if len(quote) == 1 else None
    if delimiter is None:
        delimiter = _find_delimiter(text, quote)
    if len(delimiter) > 1 or not delimiter:
        quote = None
    rows = _cells(text, delimiter, quote)
    if rows is None:
        raise DataError(f"{place} is no table with delimiter {delimiter!r}: see --delimiter and --quote.")
    missing = MISSING_VALUES if missing_values is None else ("", *missing_values)
    first, below = [column[0].as_py() for column in rows], [column.slice(1) for column in rows]
    if header is None:
        header = find_header(first, below, missing, notes)
    if header and whole and len(re.split(r"[\r\n]+", text.strip())) == 1:
        raise DataError(no_rows(place))
    data = below if header else rows
    decimal = decimal or _find_decimal(data, delimiter, notes)
    thousands = thousands or _find_thousands(data, decimal)
    dialect = Dialect(delimiter, quote, decimal, thousands, encoding, header, tuple(missing))
    is_guessed = not_utf8(encoding) in notes
    said = replace(dialect, encoding="utf-8") if is_guessed else dialect
    if described := (replace(said, delimiter=",") if len(first) == 1 else said).describe():
        notes.insert(0, f"Read with {described}.")
    index_candidate = header and first[0] == "" and len(first) > 1 and counts_from_zero(data[0])
    names = made_names(first, index_candidate, notes) if header else [f"column_{k}" for k in range(len(first))]
    blank = len(re.match(r"(?:\r\n|\n|\r)*", text)[0].replace("\r\n", "\n"))  # type: ignore[index]
    return Finding(dialect, names, data, blank + header if header else 0, index_candidate, notes)


def _refuse_other_formats(sample: bytes, place: str) -> None:
    """Raise DataError for a file whose first bytes are those of another format."""
    for magic, name in _NO_TEXT.items():
        if sample.startswith(magic):
            raise DataError(f"{place} is {name}, not a text table.")


def _checked_encoding(encoding: str) -> str:
    """Return the encoding's usual name."""
    try:
        return codecs.lookup(encoding).name.removesuffix("-sig")
    except LookupError:
        raise DataError(f"{encoding!r} is no encoding that Python knows: see --encoding.") from None


def _find_encoding(sample: bytes, notes: list[str]) -> str:
    """Return the encoding: by its mark, UTF-8 where that is possible, else a Western one, which is noted."""
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        # the two differ in 0x80 to 0x9f; what cp1252 has no character for is never text in it
        is_cp1252 = re.search(rb"[\x80-\x9f]", sample) and not re.search(rb"[\x81\x8d\x8f\x90\x9d]", sample)
        encoding = "cp1252" if is_cp1252 else "latin-1"
        notes.append(not_utf8(encoding))
        return encoding
    return "utf-8"


def no_rows(place: str) -> str:
    """Say that a file has only a header."""
    return f"{place} has a header and no rows. If its only line is data, use --no-header."


def not_utf8(encoding: str) -> str:
    """Say that a file is not UTF-8 and is taken for another encoding."""
    return f"The file is not UTF-8: it is read as {encoding}; --encoding names another."


def _decoded(sample: bytes, encoding: str, place: str, whole: bool) -> str:
    """Return the sample as text without its byte order mark; up to its last line end, where it is not the whole."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample, whole)
    except UnicodeDecodeError as error:
        line = sample.count(b"\n", 0, error.start) + 1
        raise DataError(f"Line {line} of {place} is not {encoding}: see --encoding.") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            f"Line {line} of {place} has a NUL character: it is no text, or in an encoding such as UTF-16"
            " (--encoding utf-16-le)."
        )
    text = text.removeprefix("\ufeff").lstrip(" \t")
    if not text.strip():
        raise DataError(f"{place} is empty: it has no line of text.")
    if whole:
        return text
    end = max(text.rfind("\n"), text.rfind("\r"))
    return text[: end + 1] if end > 0 else text


def _cells(text: str, delimiter: str, quote: str | None) -> list[pa.Array] | None:
    """Return the columns of the sample as texts, without rows of another length; None if it cannot be parsed."""
    table = _parsed(text, delimiter, quote)[0]
    if table is None or not len(table):
        return None
    return [column.combine_chunks() for column in table.columns]


def _parsed(text: str, delimiter: str, quote: str | None) -> tuple[pa.Table | None, int]:
    """Parse the sample as texts; also return how many rows were left out."""
    ragged = 0

    def skip(_: csv.InvalidRow) -> str:
        nonlocal ragged
        ragged += 1
        return "skip"

    text = text if text.endswith(("\n", "\r")) else text + "\n"
    data, mark = with_one_byte_delimiter(text, delimiter).encode(), one_byte_delimiter(delimiter)
    first = data.lstrip(b"\r\n").split(b"\n", 1)[0]
    types = {f"f{k}": pa.string() for k in range(first.count(mark.encode()) + 1)}
    try:
        table = csv.read_csv(
            io.BytesIO(data),
            csv.ReadOptions(autogenerate_column_names=True, block_size=max(len(data), 1) + 1),
            csv.ParseOptions(
                delimiter=mark, quote_char=quote or False, newlines_in_values=True, invalid_row_handler=skip
            ),
            csv.ConvertOptions(column_types=types),
        )
    except pa.ArrowInvalid:
        return None, ragged
    return table, ragged


def one_byte_delimiter(delimiter: str) -> str:
    """Return what stands for the delimiter where one of a single byte is needed."""
    return delimiter if len(delimiter.encode()) == 1 else "\x1f"


def with_one_byte_delimiter(text: str, delimiter: str) -> str:
    """Return whole lines of text, or parts of them, with a delimiter of a single byte."""
    if delimiter == "":
        text = re.sub(r"[ \t]*(\r\n|\r|\n)[ \t]*", r"\1", text)
        return re.sub(r"[ \t]+", "\x1f", text)
    return text.replace(delimiter, one_byte_delimiter(delimiter))


def _find_delimiter(text: str, quote: str | None) -> str:
    """Return the delimiter that gives rows of one length, and of those the one that leaves the most cells numbers."""
    found: list[tuple[tuple[float, float, int], str]] = []
    for delimiter in _DELIMITERS:
        table, ragged = _parsed(text, delimiter, None if len(delimiter) > 1 else quote)
        if table is None or table.num_columns < 2:
            continue
        even = 1.0 - ragged / (ragged + len(table))
        found.append(((even, _number_fraction(table), table.num_columns), delimiter))
    if found:
        return max(found, key=lambda each: each[0])[1]
    for delimiter in (" ", ""):
        table, ragged = _parsed(text, delimiter, quote if delimiter else None)
        if table is not None and table.num_columns > 1 and not ragged and _number_fraction(table) >= 0.5:
            return delimiter
    return next((each for each in _DELIMITERS if each not in text), "\x1f")


def _number_fraction(table: pa.Table) -> float:
    """Return which fraction of the cells are numbers, with either decimal mark."""
    counts = [pc.sum(pc.match_substring_regex(column, NUMBER)).as_py() or 0 for column in table.columns]
    return round(sum(counts) / (table.num_rows * table.num_columns), 2)


def _find_decimal(columns: list[pa.Array], delimiter: str, notes: list[str]) -> str:
    """Return the decimal mark that most columns show; one group of three digits says nothing on its own."""

    def shows(column: pa.Array, pattern: str) -> bool:
        return bool(pc.any(pc.match_substring_regex(column, pattern)).as_py())

    votes = dict.fromkeys((".", ","), 0)
    unsure = False
    for column in columns:
        for mark, other in ((".", ","), (",", ".")):
            sure = rf"^\s*[-+]?(0?|[0-9]{{4,}}|[0-9]{{1,3}}(\{other}[0-9]{{3}})+)\{mark}[0-9]+\s*$|"
            sure += rf"^\s*[-+]?[0-9]+\{mark}([0-9]{{1,2}}|[0-9]{{4,}})([eE][-+]?[0-9]+)?\s*$"
            votes[mark] += shows(column, sure)
        unsure = unsure or shows(column, r"^\s*[-+]?[1-9][0-9]{0,2},[0-9]{3}\s*$")
    if votes[","] > votes["."]:
        return ","
    if unsure and not votes["."] and delimiter != ",":
        notes.append("Numbers such as 1,234 are read with a decimal comma; --decimal . makes it a thousands mark.")
        return ","
    return "."


def _find_thousands(columns: list[pa.Array], decimal: str) -> str | None:
    """Return the mark between groups of three digits, where some number has one."""
    mark = "," if decimal == "." else "."
    pattern = rf"^\D{{0,4}}[0-9]{{1,3}}(\{mark}[0-9]{{3}})+(\{decimal}[0-9]+)?\D{{0,4}}$"
    return mark if any(pc.any(pc.match_substring_regex(column, pattern)).as_py() for column in columns) else None
