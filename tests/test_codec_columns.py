"""Columns of every kind as whole numbers, and back to the bit or within the bound."""

from __future__ import annotations

import numpy as np
import pytest

from narrows.codec.columns.choose import Bound, choose_transform
from narrows.codec.columns.form import TableForm, columns_from_bytes, columns_to_bytes
from narrows.codec.columns.transforms import (
    Bounded,
    FixedPoint,
    Integers,
    LookupTable,
    Raw,
    Relative,
    from_keys,
    to_keys,
)
from narrows.errors import DataError

RNG = np.random.default_rng(0)


def bits(values):
    return values.tolist() if values.dtype == object else values.tobytes()


def through(columns, fitted=None, bounds=None):
    """Take columns through a form, as a file keeps it, and back."""
    fitted = fitted or columns
    schema = [(f"c{j}", column.dtype) for j, column in enumerate(columns)]
    form = TableForm.fit(schema, fitted, bounds or {})
    coded = form.encode(columns, schema)
    again = TableForm.from_bytes(form.to_bytes())
    assert again.kinds == form.kinds
    assert again.to_bytes() == form.to_bytes()
    assert again.encode(columns, schema).side_info == coded.side_info
    found, crc = again.decode(coded.codes.copy(), coded.side_info, schema)
    assert crc == coded.crc
    for part, column in zip(found, columns, strict=True):
        assert part.dtype == column.dtype
    return found, coded, form


HARD = {
    "int8": np.array([-128, 127, 0, 5], np.int8),
    "int64": np.array([-(2**63), 2**63 - 1, 0, -1], np.int64),
    "uint64": np.array([2**64 - 1, 0, 2**63, 7], np.uint64),
    "uint8": np.array([0, 255, 3, 3], np.uint8),
    "float16": np.array([np.nan, -0.0, 65504, 6e-8], np.float16),
    "float32": np.array([np.inf, -0.0, 0.1, 1e-45], np.float32),
    "float64": np.array([-np.inf, -0.0, 0.1, 5e-324], np.float64),
    "payload32": np.array([0x7F800001, 0xFFC01234, 0x7FC00000, 0], np.uint32).view(np.float32),
    "payload64": np.array([0x7FF0000000000001, 0xFFF8000000001234, 0x7FF8000000000000, 1], np.uint64).view(np.float64),
    "complex": np.array([1 + 2j, np.nan, -0.0j, 1e300]),
    "cells": np.array(["a", None, float("nan"), "a\0"], object),
    "mixed": np.array([1, 1.0, True, "1"], object),
    "hidden": np.array([b"1", 10**50, -1, ""], object),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("case", ["few", "many", "unseen"])
def test_hard_values_come_back_to_the_bit(name, case):
    column = np.tile(HARD[name], 200 if case == "many" else 1)
    usual = {"f": RNG.normal(size=500).round(2), "O": RNG.choice(["x", "y"], 500), "c": np.ones(500)}
    usual = usual.get(column.dtype.kind, RNG.integers(3, 9, 500)).astype(column.dtype)
    (found,), _, _ = through([column], [usual] if case == "unseen" else None)
    assert repr(found.tolist()) == repr(column.tolist())
    if column.dtype != object:
        assert bits(found) == bits(column)
    else:
        assert [type(cell) for cell in found] == [type(cell) for cell in column]


def test_keys_keep_order_and_bits():
    for dtype in ("f2", "f4", "f8"):
        values = np.array([-np.inf, -1.5, -1e-7, -0.0, 0.0, 1e-7, 1.5, np.inf], dtype)
        assert (np.diff(to_keys(values)) > 0).all()
        assert bits(from_keys(to_keys(values), values.dtype)) == bits(values)


def test_what_a_column_is_taken_for():
    n = 5000
    kinds = {
        "ints": (RNG.integers(0, 9, n), Integers),
        "ids": (RNG.choice(RNG.integers(0, 10**9, 20), n), LookupTable),
        "cents": (np.round(RNG.normal(size=n) * 50, 2) + 0.0, FixedPoint),
        "whole": (RNG.integers(0, 99, n).astype(float), FixedPoint),
        "cents32": ((np.round(RNG.normal(size=n), 2) + 0.0).astype(np.float32), FixedPoint),
        "gaps": (np.where(RNG.random(n) < 0.2, np.nan, RNG.integers(0, 9, n)), FixedPoint),
        "fifteenths": (RNG.integers(0, 16, n) / 15, LookupTable),
        "noise": (RNG.normal(size=n), Raw),
        "noise32": (RNG.normal(size=n).astype(np.float32), Raw),
    }
    for name, (column, kind) in kinds.items():
        coder = choose_transform(column, None)
        assert type(coder) is kind, name
        _, bad, _ = coder.encode(column)
        assert kind is Raw or not bad.any(), name
    assert choose_transform(kinds["gaps"][0], None).kinds == ("category", "ordered")
    assert choose_transform(kinds["cents"][0], None).decimals == 2


def test_decimals_beyond_those_of_the_fit_are_exceptions_and_come_back():
    fitted = RNG.integers(0, 1000, 2000) / 100
    column = fitted.copy()
    column[[3, 77]] = [0.123456, -0.0]
    (found,), coded, form = through([column], [fitted])
    assert isinstance(form.transforms[0], FixedPoint)
    assert bits(found) == bits(column)
    assert 0 < len(coded.side_info) < 60
    # A column of nothing else is kept as it is.
    noise = RNG.normal(size=3000)
    (found,), coded, _ = through([noise], [fitted])
    assert bits(found) == bits(noise)
    assert len(coded.side_info) < 1.01 * noise.nbytes
    assert not coded.codes.any()


ARRAYS = {
    "normal": RNG.normal(size=4000),
    "halfway": (np.arange(4000) - 2000) * 0.01,
    "huge": RNG.normal(size=4000) * 1e300,
    "tiny": RNG.normal(size=4000) * 1e-310,
    "wide": np.exp(RNG.normal(size=4000) * 60),
    "whole": RNG.integers(-500, 500, 4000).astype(float),
    "odd": np.tile([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, -1e-320, 1e308], 500),
    "edges": np.nextafter((np.arange(4000) - 2000) * 0.02 + 0.01, np.tile([-np.inf, np.inf], 2000)),
}


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("error", [1e-9, 0.01, 3.0])
@pytest.mark.parametrize("name", ARRAYS)
def test_no_value_is_out_of_bound(name, error, dtype):
    with np.errstate(over="ignore"):
        column = ARRAYS[name].astype(dtype)
    for relative in (False, True):
        (found,), _, _ = through([column], bounds={0: Bound(error, relative=relative)})
        special = ~np.isfinite(column)
        assert bits(found[special]) == bits(column[special])
        x, y = column[~special], found[~special]
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            limit = error * np.abs(x.astype(np.longdouble)) if relative else np.longdouble(error)
            assert (np.abs(x.astype(np.longdouble) - y.astype(np.longdouble)) <= limit).all()
            own = error * np.abs(x) if relative else np.array(error)
            assert (np.abs(x - y) <= own).all()


def test_a_bound_makes_codes_small():
    column = RNG.normal(size=4000)
    _, coded, form = through([column], bounds={0: Bound(1e-2, relative=False)})
    assert isinstance(form.transforms[0], Bounded)
    assert not coded.side_info
    assert coded.codes.min() >= 0
    assert coded.codes.max() < 500
    _, coded, form = through([column], bounds={0: Bound(1e-2, relative=True)})
    assert isinstance(form.transforms[0], Relative)
    # Every octave has ln 2 / (2 · share) cells at the fewest, and a tenth more here at the most.
    octaves = np.log2(np.abs(column).max() / np.abs(column).min()) + 1
    assert np.abs(coded.codes).max() <= 1.1 * octaves * np.log(2) / 0.02


def test_whole_numbers_within_a_bound():
    column = np.concatenate([RNG.integers(-1000, 1000, 500), [2**63 - 1, -(2**63)]])
    for dtype in (np.int64, np.int16, np.uint8):
        values = column.astype(dtype)
        (found,), _, form = through([values], bounds={0: Bound(3.9, relative=False)})
        assert isinstance(form.transforms[0], Integers)
        assert max(abs(int(x) - int(y)) for x, y in zip(values, found, strict=True)) <= 3
    assert isinstance(choose_transform(column, Bound(0.5, relative=False)), Integers)
    assert isinstance(choose_transform(column, Bound(0.5, relative=True)), Integers)


def test_words_unseen_and_rare():
    fitted = np.array(["red", "green", None] * 300, object)
    column = np.array(["red", "violet", None, float("nan"), "green", 5], object)
    (found,), coded, form = through([column], [fitted])
    assert repr(found.tolist()) == repr(column.tolist())
    assert form.kinds == ["category"]
    assert coded.side_info
    names = np.array([f"name {k}" for k in range(500)], object)
    (found,), _, form = through([names])
    assert isinstance(form.transforms[0], Raw)
    assert found.tolist() == names.tolist()


def test_other_columns_are_refused_by_name():
    schema = [("a", np.dtype("f8")), ("b", np.dtype("i8"))]
    form = TableForm.fit(schema, [np.zeros(5), np.zeros(5, int)], {})
    form.check([schema[0], ("b", np.dtype("u1"))])
    for name, other in {"a": [("a", np.dtype("f4")), schema[1]], "z": [schema[0], ("z", np.dtype("i8"))]}.items():
        with pytest.raises(DataError, match=f"column '{name}'"):
            form.check(other)
    with pytest.raises(DataError):
        form.check(schema[:1])
    with pytest.raises(DataError, match="column 'a'"):
        TableForm.fit([("a", np.dtype(object))], [np.array([{1}, "x"], object)], {})


def test_bare_columns():
    parts = [np.arange(5), np.array(["a", None, "b", 1, ""], object), np.arange(5.0)]
    schema = [("x", part.dtype) for part in parts]
    found = columns_from_bytes(columns_to_bytes(parts), 5, schema)
    assert [part.tolist() for part in found] == [part.tolist() for part in parts]
