"""Text tables: their dialect, the types of their columns, and files that are refused."""

from __future__ import annotations

import bz2
import gzip
import lzma

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from narrows.data import text
from narrows.data.dialect import Dialect
from narrows.data.text import TextSource
from narrows.errors import DataError

ROWS = b"".join(b"%d,x%d\n" % (i, i % 3) for i in range(60_000))
"""More than the sample that a dialect and types are found from."""


def read(data, **options):
    source = TextSource(data, **options)
    return source, source.table().to_pydict()


def dtypes(source):
    short = {pa.int64(): "i", pa.float64(): "f", pa.string(): "s"}
    return "".join(short[each] for each in source.arrow_schema.types)


DIALECTS = {
    "semicolon": (b"a;b\n0,5;1\n1,5;2\n", Dialect(delimiter=";", decimal=","), {"a": [0.5, 1.5], "b": [1, 2]}),
    "no_header": (
        b"1,5;2\n2,5;3\n",
        Dialect(delimiter=";", decimal=",", header=False),
        {"column_0": [1.5, 2.5], "column_1": [2, 3]},
    ),
    "three_columns": (
        b"1,5,2\n2,5,3\n",
        Dialect(header=False),
        {"column_0": [1, 2], "column_1": [5, 5], "column_2": [2, 3]},
    ),
    "tab": (b"a\tb\n1,5\tx\n2,5\ty\n", Dialect(delimiter="\t", decimal=","), {"a": [1.5, 2.5], "b": ["x", "y"]}),
    "pipe": (b"a|b\n1|x\n", Dialect(delimiter="|"), {"a": [1], "b": ["x"]}),
    "colons": (
        b'1::"Great" Toy::5\n2::Jumanji: 1::5\n',
        Dialect(delimiter="::", quote=None, header=False),
        {"column_0": [1, 2], "column_1": ['"Great" Toy', "Jumanji: 1"], "column_2": [5, 5]},
    ),
    "spaces": (
        b"  1.5   2  \n 10.5  3\n",
        Dialect(delimiter="", quote=None, header=False),
        {"column_0": [1.5, 10.5], "column_1": [2, 3]},
    ),
    "comma_in_header": (b'"T (C, mean)";b\n1;2\n', Dialect(delimiter=";"), {"T (C, mean)": [1], "b": [2]}),
    "comma_in_text": (
        b"Doe, John;42;Paris\nRoe, Jane;43;Rome\n",
        Dialect(delimiter=";", header=False),
        {"column_0": ["Doe, John", "Roe, Jane"], "column_1": [42, 43], "column_2": ["Paris", "Rome"]},
    ),
    "prose": (b"text\nHello, world\nyes; no\n", None, {"text": ["Hello, world", "yes; no"]}),
    "one_decimal_column": (b"temp\n17,5\n18,2\n", None, {"temp": [17.5, 18.2]}),
    "thousands": (b'a,b\n"1,000.50",1\n', Dialect(thousands=","), {"a": ["1,000.50"], "b": [1]}),
    "european_thousands": (
        b"a;b\n1.000,50;1,5\n",
        Dialect(delimiter=";", decimal=",", thousands="."),
        {"a": ["1.000,50"], "b": [1.5]},
    ),
    "cr": (b'a,b\r1,"x\ry"\r2,z\r', Dialect(), {"a": [1, 2], "b": ["x\ry", "z"]}),
    "crlf": (b'a,b\r\n1,"x\r\ny"\r\n2,z', Dialect(), {"a": [1, 2], "b": ["x\r\ny", "z"]}),
    "blank_lines": (b"\n\na,b\n1,2\n\n3,4\n", Dialect(), {"a": [1, 3], "b": [2, 4]}),
    "inches": (b'a,b\n5" pipe,1\n6" pipe,007\n', Dialect(), {"a": ['5" pipe', '6" pipe'], "b": ["1", "007"]}),
    "mark": (b"\xef\xbb\xbfa,b\n1,2\n", Dialect(), {"a": [1], "b": [2]}),
    "utf16": ("a,b\n1,ü\n".encode("utf-16"), Dialect(encoding="utf-16"), {"a": [1], "b": ["ü"]}),
    "utf32": ("a,b\n1,ü\n".encode("utf-32"), Dialect(encoding="utf-32"), {"a": [1], "b": ["ü"]}),
    "latin1": ("a,b\n1,ü\n".encode("latin-1"), Dialect(encoding="latin-1"), {"a": [1], "b": ["ü"]}),
    "cp1252": ("a,b\n1,€\n".encode("cp1252"), Dialect(encoding="cp1252"), {"a": [1], "b": ["€"]}),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects_are_found(name):
    data, dialect, columns = DIALECTS[name]
    source, found = read(data)
    assert found == columns
    if dialect is not None:
        assert source.dialect == dialect
        assert bool(source.notes) == (dialect != Dialect())


@pytest.mark.parametrize(
    ("data", "options", "columns"),
    [
        (b"a#b\n1#2\n", {"delimiter": "#"}, {"a": [1], "b": [2]}),
        ("a§b\n1§2\n".encode(), {"delimiter": "§"}, {"a": [1], "b": [2]}),
        (b"a;b\n1,234;2\n", {"decimal": "."}, {"a": ["1,234"], "b": [2]}),
        (b"a,b\n'x,y',2\n", {"quote": "'"}, {"a": ["x,y"], "b": [2]}),
        (b'a,b\n"x,2\n', {"quote": "none"}, {"a": ['"x'], "b": [2]}),
        (b"2019,2020\n1.5,2.5\n", {"header": False}, {"column_0": [2019, 1.5], "column_1": [2020, 2.5]}),
        (b"1,2\n3,4\n", {"header": True}, {"1": [3], "2": [4]}),
        (b"a,b\n1,\n-999,NA\n", {"missing_values": ["-999"]}, {"a": [1, None], "b": [None, "NA"]}),
        ("a,b\nü,1\n".encode("cp437"), {"encoding": "cp437"}, {"a": ["ü"], "b": [1]}),
    ],
)
def test_what_is_given_is_not_looked_for(data, options, columns):
    assert read(data, **options)[1] == columns


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (b"0,1,2\n0.5,1.5,2.5\n", True),
        (b"2019,2020,2021\n0.5,1.5,2.5\n", True),
        (b"country,2019,2020,2021\nA,1,2,3\nB,4,5,6\n", True),
        (b"1,1193,5,978300760\n1,661,3,978302109\n", False),
        (b"5.1,3.5,setosa\n4.9,3.0,setosa\n", False),
        (b"39, State-gov, 77516\n50, Self, 83311\n38, State-gov, 215646\n", False),
        (b"2024-01-01,ok\n2024-01-02,no\n", False),
        (b"p,x\nx,p\np,x\n", False),
        (b"a,b\nx,y\n", True),
        (b"1,2\n", False),
    ],
)
def test_header_or_data(data, header):
    source = TextSource(data)
    assert source.dialect.header == header
    assert bool(source.notes) == (not header or data[:1].isdigit() or b"2019" in data)


def test_names_are_made_up_and_told_apart():
    source, columns = read(b",a,a,,a_1\n3,1,2,,4\n")
    assert list(columns) == ["column_0", "a", "a_2", "column_3", "a_1"]
    assert len(source.notes) == 3
    assert source.index_columns == []


@pytest.mark.parametrize(("last", "index"), [(b"60000,x\n", ["index"]), (b"7,x\n", [])])
def test_index_is_an_unnamed_column_that_counts_rows(last, index):
    source = TextSource(b",b\n" + ROWS + last)
    assert source.index_columns == index
    assert source.arrow_schema.names == ["index", "b"]


LATE = {
    b"1.5,x\n": ("fs", 1.5),
    b"007,x\n": ("ss", "007"),
    b"+49,x\n": ("ss", "+49"),
    b"0x10,x\n": ("ss", "0x10"),
    b" -07,x\n": ("ss", " -07"),
    b'"07",x\n': ("ss", "07"),
    b"99999999999999999999,x\n": ("ss", "99999999999999999999"),
    b"q,x\n": ("ss", "q"),
    b"N/A,x\n": ("is", None),
    b"5,007\n": ("is", 5),
    b'5,"q, ""r""\n"\n': ("is", 5),
    b"5,\xfc\n": ("is", 5),
    b"5,\x93\x81\n": ("is", 5),
}


@pytest.mark.parametrize("line", LATE)
@pytest.mark.parametrize("block_bytes", [text.BLOCK_BYTES, 10_000])
def test_later_cells_count(line, block_bytes, monkeypatch):
    monkeypatch.setattr(text, "BLOCK_BYTES", block_bytes)
    source = TextSource(b"a,b\n" + ROWS + line + ROWS[:50])
    expected, last = LATE[line]
    starts = []

    def begin(schema):
        starts.append([schema, []])
        return starts[-1][1].append

    source.visit(begin)
    schema, batches = starts[-1]
    assert schema == source.arrow_schema
    assert dtypes(source) == expected
    table = pa.Table.from_batches(batches)
    assert table.equals(source.table())
    assert source.n_rows == len(table)
    cell = table["a"][60_000].as_py()
    assert cell == last
    assert type(cell) is type(last)
    assert table["a"][0].as_py() in (0, "0")


def test_types_follow_the_spelling_of_all_cells():
    data = b"i,f,zip,big,plus,hex,mix,e\n1,1.5,007,5,+1,0x1,1,1e3\n-2,2,12,18446744073709551616,+2.5,0x2,1.0,2\n"
    source = TextSource(data)
    assert dtypes(source) == "ifssfsff"
    assert [source.decimals(name) for name in ("i", "f", "zip", "mix", "e")] == [0, 1, None, 1, 0]


def test_spellings_of_missing_are_said():
    source, columns = read(b"a,b\n1,x\nNULL,None\n,\n?,y\n2,z\n")
    assert columns == {"a": [1, None, None, None, 2], "b": ["x", None, None, "y", "z"]}
    first, second = source.notes
    assert all(each in first for each in ("3 cells of 'a'", "NULL", "?", "--missing-values"))
    assert all(each in second for each in ("2 cells of 'b'", "None"))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, "zstd"])
def test_packed_files(pack, tmp_path):
    data = b"a,b\n" + ROWS
    packed = pa.compress(data, pack, asbytes=True) if pack == "zstd" else pack(data)
    path = tmp_path / "a.csv.packed"
    path.write_bytes(packed)
    assert TextSource(path).table().equals(TextSource(data).table())
    path.write_bytes(packed[:-20])
    with pytest.raises(DataError, match=r"packed cannot be unpacked"):
        TextSource(path).table()


def test_columns_and_batches():
    source = TextSource(b"a,b\n" + ROWS)
    batches = list(source.batches(["b"], 1000))
    assert {batch.schema.names[0] for batch in batches} == {"b"}
    assert max(len(batch) for batch in batches) == 1000
    assert sum(len(batch) for batch in batches) == 60_000
    assert source.table(["b", "a"]).column_names == ["b", "a"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "::"])
def test_long_cells_and_many_blocks(encoding, delimiter):
    lines = ["a,b", *(f"{i},{'ü' * (3_000_000 if i == 40_000 else i % 50)}x" for i in range(60_000))]
    source = TextSource("\n".join(lines).replace(",", delimiter).encode(encoding))
    table = source.table()
    assert table["a"].to_numpy().tolist() == list(range(60_000))
    assert len(table["b"][40_000].as_py()) == 3_000_001


def test_ten_thousand_columns():
    values = np.arange(30_000.0).reshape(3, -1) / 2
    table = TextSource(pd.DataFrame(values).add_prefix("x").to_csv(index=False).encode()).table()
    np.testing.assert_array_equal(np.column_stack([column.to_numpy() for column in table.columns]), values)


REFUSED = {
    "empty": (b"", "is empty"),
    "blank": (b"\n \n", "is empty"),
    "mark": (b"\xef\xbb\xbf", "is empty"),
    "header": (b"a,b\n", "--no-header"),
    "header_without_end": (b"a,b", "--no-header"),
    "nul": (b"a,b\n1,2\n3,\x00\n", "Line 3"),
    "late_nul": (b"a,b\n" + ROWS + b"3,\x00\n", "Line 60002"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "PNG"),
    "json": (b'{"a": 1}\n', "JSON"),
    "ragged": (b"a,b\n1,2\n3\n", "Line 3.*1 cell,.*--delimiter"),
    "late_ragged": (b"a,b\n" + ROWS + b"1,2,3\n" + ROWS, "Line 60002.*3 cells.*--delimiter"),
    "short_header": (b"a,b\n1,2,3\n4,5,6\n", "Line 2"),
    "quote": (b'a,b\n1,"x\n2,y\n', "row 1.*--quote"),
    "late_quote": (b"a,b\n" + ROWS + b'1,"x\n' + ROWS, "row 60001.*--quote"),
    "random": (np.random.default_rng(0).bytes(5000), "Line"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    data, match = REFUSED[name]
    with pytest.raises(DataError, match=match) as refusal:
        TextSource(data, "it.csv").table()
    assert "it.csv" in str(refusal.value)


def test_encoding_that_is_not_so():
    data = b"a,b\n" + ROWS + b"1,\xfc\n"
    with pytest.raises(DataError, match=r"Line 60002 .*--encoding"):
        TextSource(data, encoding="utf-8").table()
    with pytest.raises(DataError, match=r"Line 60002 .*--encoding"):
        TextSource(data.replace(b"\xfc", b"\x81"), encoding="cp1252").table()
    with pytest.raises(DataError, match="--encoding"):
        TextSource(data, encoding="klingon")
