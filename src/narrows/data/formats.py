"""Texts that stand for numbers, dates or truth values: how they are spelled, from text to value and back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["BooleanFormat", "DateFormat", "NumberFormat", "ValueFormat", "format_from_json", "formats_of"]

_CURRENCIES = "€$£¥₩₹₽₺₫฿₴"
_AFFIX = rf"(?:[{_CURRENCIES}%]|[A-Z]{{3}}|kr|zł|Kč|Fr\.)"
_MARKS = (
    (",", "."),
    (".", ","),
    ("'", "."),
    ("’", "."),
    (" ", ","),
    ("\u00a0", ","),
    ("\u202f", ","),
    ("", "."),
    ("", ","),
)
"""Thousands and decimal marks that go together."""

_WORDS = (("yes", "no"), ("y", "n"), ("true", "false"), ("t", "f"), ("ja", "nein"), ("oui", "non"), ("예", "아니오"),
          ("on", "off"))  # fmt: skip

_DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%d.%m.%y",
    "%d %b %Y", "%b %d, %Y",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_SHAPES = {
    "%Y": r"\d{4}", "%m": r"\d{1,2}", "%d": r"\d{1,2}", "%y": r"\d{2}", "%b": r"[A-Za-z]{3}", "%H": r"\d{1,2}",
    "%M": r"\d{2}", "%S": r"\d{2}", "%I": r"\d{1,2}", "%p": r"[AaPp][Mm]",
}  # fmt: skip
_ISO = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?$"
_ZONED = r"(?:Z|[+-]\d{2}:?\d{2})$"


@dataclass(frozen=True)
class NumberFormat:
    """Numbers written with marks between thousands, a decimal mark, a currency or a per cent sign."""

    thousands: str
    decimal: str
    prefix: str = ""
    suffix: str = ""

    def pattern(self) -> str:
        """Return the regular expression that all such texts match."""
        whole = rf"\d{{1,3}}(?:{re.escape(self.thousands)}\d{{3}})+|\d+" if self.thousands else r"\d+"
        number = rf"(?:{whole})(?:{re.escape(self.decimal)}\d+)?"
        return rf"^\s*[-+]?{re.escape(self.prefix)}[-+]?{number}{re.escape(self.suffix)}\s*$"

    def values(self, texts: pa.Array) -> pa.Array:
        """Return the numbers that texts stand for."""
        for mark in (self.prefix, self.suffix, self.thousands):
            if mark:
                texts = pc.replace_substring(texts, mark, "")
        texts = pc.utf8_trim_whitespace(texts)
        if self.decimal != ".":
            texts = pc.replace_substring(texts, self.decimal, ".")
        return pc.cast(texts, pa.float64())

    def spell(self, values: Any, decimals: int | None = None) -> list[str | None]:
        """Write numbers as they were written."""
        table = str.maketrans({",": self.thousands, ".": self.decimal})
        form = f",.{decimals}f" if decimals is not None else ","
        signs = ["-" if value < 0 else "" for value in values]
        return [
            None if np.isnan(value) else f"{sign}{self.prefix}{format(abs(value), form).translate(table)}{self.suffix}"
            for sign, value in zip(signs, values.tolist(), strict=True)
        ]

    def said(self) -> str:
        """Say how the numbers are written."""
        marks = [f"{mark!r} between thousands" for mark in [self.thousands] if mark]
        marks += ["a decimal comma"] if self.decimal == "," else []
        marks += [f"the sign {sign.strip()!r}" for sign in (self.prefix, self.suffix) if sign]
        return "numbers with " + " and ".join(marks)

    def to_json(self) -> dict[str, str]:
        """Return plain values, for a file."""
        return {"thousands": self.thousands, "decimal": self.decimal, "prefix": self.prefix, "suffix": self.suffix}


@dataclass(frozen=True)
class DateFormat:
    """Dates and times by a format of strptime, or as ISO 8601 writes them (``iso``), with a zone or without."""

    form: str
    zoned: bool = False

    def pattern(self) -> str:
        """Return the regular expression that all such texts match."""
        if self.form == "iso":
            return _ISO
        return "^" + re.sub(r"%\w|[.]", lambda part: _SHAPES.get(part[0], re.escape(part[0])), self.form) + "$"

    def values(self, texts: pa.Array) -> pa.Array:
        """Return the moments that texts stand for; ArrowInvalid if one is none."""
        if self.form == "iso":
            return pc.cast(texts, pa.timestamp("us", "UTC" if self.zoned else None))
        return pc.cast(pc.strptime(texts, self.form, "s"), pa.timestamp("us"))

    def spell(self, values: Any, decimals: int | None = None) -> list[str | None]:
        """Write moments as they were written."""
        form = {"iso": "%Y-%m-%d %H:%M:%S"}.get(self.form, self.form)
        return [None if value is None else value.strftime(form) for value in values.to_pylist()]

    def said(self) -> str:
        """Say how the dates are written."""
        order = {"%d": "day first", "%m": "month first", "%b": "month first"}.get(self.form[:2], "year first")
        return "dates as ISO 8601 writes them" if self.form == "iso" else f"dates like {self.form}, {order}"

    def to_json(self) -> dict[str, object]:
        """Return plain values, for a file."""
        return {"form": self.form, "zoned": self.zoned}


@dataclass(frozen=True)
class BooleanFormat:
    """Two words for true and false."""

    true: str
    false: str

    def pattern(self) -> str:
        """Return the regular expression that all such texts match."""
        return f"^(?:{re.escape(self.true)}|{re.escape(self.false)})$"

    def values(self, texts: pa.Array) -> pa.Array:
        """Return the truth values."""
        return pc.equal(texts, self.true)

    def spell(self, values: Any, decimals: int | None = None) -> list[str | None]:
        """Write truth values as they were written."""
        return [None if np.isnan(value) else self.true if value >= 0.5 else self.false for value in values.tolist()]

    def said(self) -> str:
        """Say how the values are written."""
        return f"{self.true!r} or {self.false!r}"

    def to_json(self) -> dict[str, str]:
        """Return plain values, for a file."""
        return {"true": self.true, "false": self.false}


ValueFormat = NumberFormat | DateFormat | BooleanFormat


def format_from_json(record: dict[str, str] | None) -> ValueFormat | None:
    """Make a format from what ``to_json`` gave."""
    if record is None:
        return None
    kind = BooleanFormat if "true" in record else DateFormat if "form" in record else NumberFormat
    return kind(**record)  # type: ignore[arg-type]


def formats_of(texts: Iterable[str]) -> list[ValueFormat]:
    """Return the formats that a few texts of a column could all have, best first."""
    shown = [text for text in texts if text.strip()]
    if not shown:
        return []
    found: list[ValueFormat] = [*_boolean(set(shown)), *_numbers(shown), *_dates(shown)]
    return [value_format for value_format in found if all(re.match(value_format.pattern(), text) for text in shown)]


def _boolean(words: set[str]) -> list[ValueFormat]:
    for true, false in _WORDS:
        for form in (str, str.upper, str.capitalize):
            if words <= {form(true), form(false)}:
                return [BooleanFormat(form(true), form(false))]
    return []


def _numbers(texts: list[str]) -> list[ValueFormat]:
    """Return number formats for texts that have marks that pyarrow does not read."""
    found = re.match(rf"^\s*[-+]?({_AFFIX}\s*)?[-+]?\d[\d.,'’ \u00a0\u202f]*?(\s*{_AFFIX})?\s*$", texts[0])
    if found is None or all(re.match(r"^[-+]?0\d", text) for text in texts):
        return []
    prefix, suffix = found[1] or "", found[2] or ""
    marked = [text for text in texts if re.search(r"\d[.,'’ \u00a0\u202f]\d{3}(?!\d)", text)]
    # Marks between thousands must be seen, or they are none; and a number without any mark is no matter of format.
    marks = [pair for pair in _MARKS if not pair[0] or (marked and any(pair[0] in text for text in marked))]
    if not (prefix or suffix):
        marks = [pair for pair in marks if pair != ("", ".")]
        if all(re.match(r"^[-+]?[\d]+$", text.strip()) for text in texts):
            return []
    return [NumberFormat(thousands, decimal, prefix, suffix) for thousands, decimal in marks]


def _dates(texts: list[str]) -> list[ValueFormat]:
    if not any(character.isdigit() for character in texts[0]):
        return []
    iso = DateFormat("iso", zoned=bool(re.search(_ZONED, texts[0])))
    return [*(DateFormat(date + clock) for date in _DATES for clock in _CLOCKS), iso]
