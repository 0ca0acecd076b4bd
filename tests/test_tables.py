"""Whole files: what is read is what was there, and every bad file gets its one sentence."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from narrows import tables
from narrows.errors import DataError
from narrows.io.atomic import atomic_write
from narrows.tables import text


def idx(array: np.ndarray, kind: int) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


# ---------------------------------------------------------------- text


TEXTS = {
    "header": ("a.csv", "x,y\n1,2\n3,4\n", ["x", "y"], [[1, 2], [3, 4]], np.int64),
    "no header": ("a.csv", "1,2\n3,4\n", None, [[1, 2], [3, 4]], np.int64),
    "no last newline": ("a.csv", "1,2\n3,4", None, [[1, 2], [3, 4]], np.int64),
    "windows": ("a.csv", "x,y\r\n1,2\r\n3,4\r\n", ["x", "y"], [[1, 2], [3, 4]], np.int64),
    "byte order mark": ("a.csv", "\ufeffx,y\n1,2\n", ["x", "y"], [[1, 2]], np.int64),
    "byte order mark, no header": ("a.csv", "\ufeff1,2\n", None, [[1, 2]], np.int64),
    "floats": ("a.csv", "x,y\n1.5,2\n-3e-5,4\n", ["x", "y"], [[1.5, 2], [-3e-5, 4]], np.float64),
    "missing": (
        "a.csv",
        "x,y\n,NA\nNaN,nan\nnull,7\n",
        ["x", "y"],
        [[np.nan, np.nan], [np.nan, np.nan], [np.nan, 7]],
        np.float64,
    ),
    "missing in the first row is no header": (
        "a.csv",
        "1,NA\n2,3\n",
        None,
        [[1, np.nan], [2, 3]],
        np.float64,
    ),
    "a column all missing": ("a.csv", "x,y\n1,\n2,\n", ["x", "y"], [[1, np.nan], [2, np.nan]], np.float64),
    "infinite": ("a.csv", "x,y\ninf,-inf\n1,2\n", ["x", "y"], [[np.inf, -np.inf], [1, 2]], np.float64),
    "quoted": ("a.csv", '"x, m","y"\n"1","2"\n"",4\n', ["x, m", "y"], [[1, 2], [np.nan, 4]], np.float64),
    "a name over two lines": ("a.csv", '"x\nm",y\n1,2\n', ["x\nm", "y"], [[1, 2]], np.int64),
    "empty lines": ("a.csv", "\nx,y\n\n1,2\n\n3,4\n\n", ["x", "y"], [[1, 2], [3, 4]], np.int64),
    "spaces": ("a.csv", "x, y\n1, 2\n 3,4\n", ["x", "y"], [[1, 2], [3, 4]], np.int64),
    "one column": ("a.csv", "x\n1\n2\n", ["x"], [[1], [2]], np.int64),
    "tabs": ("a.tsv", "x\ty\n1\t2.5\n", ["x", "y"], [[1, 2.5]], np.float64),
    "semicolons": ("a.csv", "x;y\n1;2\n", ["x", "y"], [[1, 2]], np.int64),
    "unnamed index": ("a.csv", ",x\n0,5\n", ["", "x"], [[0, 5]], np.int64),
    "beyond 64 bits": ("a.csv", "9223372036854775808,1\n", None, [[2.0**63, 1]], np.float64),
    "capital ending": ("a.CSV", "x,y\n1,2\n", ["x", "y"], [[1, 2]], np.int64),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text(case, tmp_path):
    name, content, columns, values, dtype = TEXTS[case]
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", newline="")
    table = tables.read(path)
    assert table.columns == columns
    assert table.values.dtype == dtype
    np.testing.assert_array_equal(table.values, values)
    assert table.shape == (len(values[0]),)
    assert table.path == path


def test_gzipped_text(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"x,y\n1,2\n"))
    table = tables.read(path)
    assert table.columns == ["x", "y"]
    np.testing.assert_array_equal(table.values, [[1, 2]])


def test_whole_numbers_followed_by_others_far_down(tmp_path, monkeypatch):
    # pyarrow reads a megabyte at a time; it must not need the slow parser's help here.
    monkeypatch.setattr(text, "parse_text", None)
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "1,2\n" * 400_000 + "1.5,3\n")
    table = tables.read(path)
    assert table.values.dtype == np.float64
    assert table.values.shape == (400_001, 2)
    np.testing.assert_array_equal(table.values[[0, -1]], [[1, 2], [1.5, 3]])


def test_both_parsers_read_the_same_numbers(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((500, 3)) * 10.0 ** rng.integers(-300, 300, (500, 3))
    path = tmp_path / "a.csv"
    path.write_text("\n".join(",".join(map(repr, row)) for row in values.tolist()))
    fast = tables.read(path).values
    slow = text.parse_text(path, text.read_head(path, ","), range(3))
    np.testing.assert_array_equal(fast, values)
    np.testing.assert_array_equal(slow, values)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["z"], [[3], [6]]),
        (["z", "x"], [[3, 1], [6, 4]]),
        ([2, 0], [[3, 1], [6, 4]]),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_columns_are_chosen_and_ordered(columns, expected, name, tmp_path):
    path = tmp_path / name
    if name == "a.csv":
        path.write_text('x,town,z\n1,"Paris, France",3\n4,Rome,6\n')
    else:
        pq.write_table(pa.table({"x": [1, 4], "town": ["Paris", "Rome"], "z": [3, 6]}), path)
    for table in (tables.read(path, columns=columns), tables.open_segments(path, columns=columns)):
        assert table.columns == [["x", "town", "z"][c] if isinstance(c, int) else c for c in columns]
    np.testing.assert_array_equal(tables.read(path, columns=columns).values, expected)
    np.testing.assert_array_equal(next(tables.open_segments(path, columns=columns).read(0, 9)), expected)


def test_columns_by_position_as_text_where_there_are_no_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2,3\n4,5,6\n")
    np.testing.assert_array_equal(tables.read(path, columns=["2", "0"]).values, [[3, 1], [6, 4]])


@pytest.mark.parametrize(("header", "names"), [("x,y,z\n", ["x", "y", "z"]), ("", None)])
def test_truth_values_are_one_and_zero(header, names, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"{header}true,2,False\nFALSE,3,True\ntrue,4,true\n")
    table = tables.read(path)
    assert table.columns == names
    assert table.values.dtype == np.int64
    np.testing.assert_array_equal(table.values, [[1, 2, 0], [0, 3, 1], [1, 4, 1]])
    streamed = tables.open_segments(path)
    np.testing.assert_array_equal(np.concatenate(list(streamed.read(0, 2))), table.values)
    path.write_text(f"{header}true,2.5,False\n,3,tRuE\n")
    np.testing.assert_array_equal(tables.read(path).values, [[1, 2.5, 0], [np.nan, 3, 1]])


BAD_TEXTS = {
    "text in a column": (b"x,town\n1,2\n3,Paris\n", r"line 3: column 'town' holds 'Paris'.*columns=\["),
    "text, no header": (b"1,2\n3,Paris\n", r"line 2: column 1 holds 'Paris'"),
    "dates": (b"x,day\n1,2020-01-01\n", r"line 2: column 'day' holds '2020-01-01'"),
    "times": (b"x,hour\n1,12:30\n", r"line 2: column 'hour' holds '12:30'"),
    "no truth value": (b"x,y\n1,true\n2,yes\n", r"line 3: column 'y' holds 'yes'"),
    "underscores": (b"x,y\n1,1_000\n", r"'1_000'"),
    "decimal commas": (b'x,y\n1,"1,5"\n', r"column 'y' holds '1,5'"),
    "a field too many": (b"x,y\n1,2\n\n3,4,5\n", r"line 4: 3 fields, where the first row has 2"),
    "a field too few": (b"x,y\n1,2\n3\n", r"line 3: 1 field, where the first row has 2"),
    "only names": (b"x,y\n", r"column names but no rows"),
    "only empty lines": (b"\n\n\n", r"no rows"),
    "nothing": (b"", r"is empty"),
    "not text": (b"x,y\n\xff\xfe,2\n", r"not UTF-8 text: byte 0xff"),
    "zeros": (b"\0\0\0\0\n", r"bytes of zero"),
    "a quote never closed": (b'x,y\n1,"2\n3,4\n', r"line 3"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_text(case, tmp_path):
    content, message = BAD_TEXTS[case]
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        tables.read(path)
    assert str(path) in str(caught.value)


def test_truncated_gzip(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"x,y\n" + os.urandom(2000).hex().encode())[:-40])
    with pytest.raises(DataError, match="not a whole gzip file"):
        tables.read(path)


# ---------------------------------------------------------------- columns that cannot be chosen


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["q"], r"no column named 'q'; it has 'x', 'x', 'z'"),
        (["x"], r"2 columns named 'x'"),
        ([3], r"no column 3: it has 3"),
        ([-1], r"no column -1"),
        ([], r"columns= is empty"),
        (["z", "z"], r"'z' of .* twice"),
        (["z", 2], r"2 of .* twice"),
        ("z", r"columns=\['z'\]"),
    ],
)
def test_bad_columns(columns, message, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,x,z\n1,2,3\n")
    for function in (tables.read, tables.open_segments):
        with pytest.raises(DataError, match=message):
            function(path, columns=columns)


def test_names_in_a_file_without_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2\n")
    with pytest.raises(DataError, match="has no column names, so 'x' cannot be found"):
        tables.read(path, columns=["x"])


# ---------------------------------------------------------------- npy, npz, idx


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ("u1", "u1"),
        ("f4", "f4"),
        ("f8", "f8"),
        (">f4", "f4"),
        (">i2", "i2"),
        ("f2", "f4"),
        ("?", "u1"),
    ],
)
@pytest.mark.parametrize("n_rows", [3, 5000])
def test_npy_keeps_its_type(given, dtype, n_rows, tmp_path):
    values = (np.arange(n_rows * 4).reshape(n_rows, 4) % 2).astype(given)
    np.save(tmp_path / "a.npy", values)
    table = tables.read(tmp_path / "a.npy")
    assert table.values.dtype == np.dtype(dtype)
    assert table.values.dtype.isnative
    assert table.columns is None
    np.testing.assert_array_equal(table.values, values)


def test_a_large_npy_is_mapped_and_not_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((10_000, 3)))
    assert isinstance(tables.read(tmp_path / "a.npy").values, np.memmap)


def test_images_are_laid_flat(tmp_path):
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    np.save(tmp_path / "a.npy", images)
    np.savez(tmp_path / "a.npz", images)
    (tmp_path / "a.idx").write_bytes(idx(images, 0x08))
    (tmp_path / "a-ubyte.gz").write_bytes(gzip.compress(idx(images, 0x08)))
    for name in ("a.npy", "a.npz", "a.idx", "a-ubyte.gz"):
        table = tables.read(tmp_path / name)
        assert table.shape == (3, 4)
        assert table.values.dtype == np.uint8
        np.testing.assert_array_equal(table.values, images.reshape(2, 12))


def test_columns_of_arrays(tmp_path):
    np.save(tmp_path / "a.npy", [[1, 2, 3], [4, 5, 6]])
    table = tables.read(tmp_path / "a.npy", columns=[2, 0])
    np.testing.assert_array_equal(table.values, [[3, 1], [6, 4]])
    assert table.shape == (2,)


@pytest.mark.parametrize(
    ("arrays", "array", "expected"),
    [
        ({"X": 1, "y": 2}, None, 1),
        ({"y": 2, "x_train": 1}, None, 1),
        ({"other": 1}, None, 1),
        ({"X": 1, "Z": 2}, "Z", 2),
    ],
)
def test_npz_array(arrays, array, expected, tmp_path):
    np.savez(tmp_path / "a.npz", **{name: np.full((2, 3), value) for name, value in arrays.items()})
    assert tables.read(tmp_path / "a.npz", array=array).values[0, 0] == expected


def test_npz_takes_the_only_table_among_labels(tmp_path):
    np.savez(tmp_path / "a.npz", rows=np.ones((4, 2)), labels=np.zeros(4))
    assert tables.read(tmp_path / "a.npz").values.shape == (4, 2)


@pytest.mark.parametrize(
    ("array", "message"),
    [(None, "not clear which array.*'P', 'Q'"), ("R", "no array named 'R'; it has 'P', 'Q'")],
)
def test_npz_in_doubt(array, message, tmp_path):
    np.savez(tmp_path / "a.npz", P=np.ones((2, 2)), Q=np.ones((2, 2)))
    with pytest.raises(DataError, match=message):
        tables.read(tmp_path / "a.npz", array=array)


@pytest.mark.parametrize("kind", [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")])
def test_idx_types(kind, tmp_path):
    code, dtype = kind
    values = np.array([[1, 2, 3], [4, 5, 100]], dtype)
    (tmp_path / "a.idx").write_bytes(idx(values, code))
    table = tables.read(tmp_path / "a.idx")
    assert table.values.dtype == np.dtype(dtype)
    assert table.values.dtype.isnative
    np.testing.assert_array_equal(table.values, values)


class _Trap:
    def __reduce__(self):
        return (os.mkdir, ("should-never-be-made",))


def _save(name, array):
    def make(path):
        np.save(path, array, allow_pickle=True) if name.endswith("npy") else np.savez(path, X=array)

    return name, make


def _bytes(name, content):
    return name, lambda path: path.write_bytes(content)


HOSTILE = {
    "objects in npy": (*_save("a.npy", np.array([[_Trap()]], object)), "Python objects"),
    "objects in npz": (*_save("a.npz", np.array([[_Trap()]], object)), "Python objects"),
    "a large npy of objects": (*_save("a.npy", np.full((3000, 3), None)), "Python objects"),
    "text in npy": (*_save("a.npy", np.array([["a", "b"]])), "<U1, which are not numbers"),
    "dates in npy": (*_save("a.npy", np.zeros((2, 2), "M8[s]")), "datetime64"),
    "complex in npy": (*_save("a.npy", np.zeros((2, 2), complex)), "complex128"),
    "records in npy": (*_save("a.npy", np.zeros(3, [("a", "f4"), ("b", "i4")])), "not numbers"),
    "a lone number": (*_save("a.npy", np.array(3.0)), "single number"),
    "no rows in npy": (*_save("a.npy", np.zeros((0, 3))), "no rows"),
    "no columns in npy": (*_save("a.npy", np.zeros((3, 0))), "no columns"),
    "no rows in npz": (*_save("a.npz", np.zeros((0, 3))), "no rows"),
    "not npy": (*_bytes("a.npy", b"hello, I am no array" * 500), "not a whole npy file"),
    "not npz": (*_bytes("a.npz", b"PK\3\4 and then nothing"), "not a whole npz file"),
    "npy named npz": (
        "a.npz",
        lambda path: np.save(path.open("wb"), np.ones((2, 2))),
        "holds a single array: name it .npy",
    ),
    "npz named npy": ("a.npy", lambda path: np.savez(path.open("wb"), X=np.ones((2, 2))), "name it .npz"),
    "not idx": (*_bytes("a.idx", b"\1\2\3\4\5"), "not an idx file: it begins with 01 02 03 04"),
    "short idx": (*_bytes("a-ubyte", b"\0\0"), "not an idx file"),
    "unknown idx type": (*_bytes("a.idx", b"\0\0\x07\1\0\0\0\1x"), "not an idx file"),
    "cut idx": (*_bytes("a.idx", idx(np.ones((4, 4), np.uint8), 8)[:-1]), r"damaged.*16 bytes.*15"),
    "long idx": (*_bytes("a.idx", idx(np.ones((4, 4), np.uint8), 8) + b"x"), "damaged"),
    "cut gzip idx": (*_bytes("a.idx.gz", gzip.compress(os.urandom(900))[:-9]), "not a whole gzip file"),
    "not parquet": (*_bytes("a.parquet", b"PAR1 no PAR1"), "not a whole Parquet file"),
    "text in parquet": (
        "a.parquet",
        lambda path: pq.write_table(pa.table({"x": [1.0], "town": ["Rome"]}), path),
        r"column 'town' holds values of type string.*columns=\[",
    ),
    "dates in parquet": (
        "a.parquet",
        lambda path: pq.write_table(pa.table({"day": pa.array([0], pa.timestamp("s"))}), path),
        "column 'day' holds values of type timestamp",
    ),
    "no rows in parquet": (
        "a.parquet",
        lambda path: pq.write_table(pa.table({"x": pa.array([], pa.float32())}), path),
        "no rows",
    ),
    "no columns in parquet": ("a.parquet", lambda path: pq.write_table(pa.table({}), path), "no columns"),
    "a folder": ("a.csv", lambda path: path.mkdir(), "has no images in it"),
    "nothing there": ("a.csv", lambda path: None, "does not exist"),
    "an empty file": (*_bytes("a.parquet", b""), "is empty"),
    "an unknown ending": (*_bytes("a.xlsx", b"x"), r"does not read; it reads \.csv"),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the one-line writers above
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, make, message = HOSTILE[case]
    path = tmp_path / name
    make(path)
    with pytest.raises(DataError, match=message) as caught:
        tables.read(path)
    assert str(path) in str(caught.value)
    if name.endswith(("npy", "parquet")):
        with pytest.raises(DataError, match=message):
            tables.open_segments(path)
    assert not Path("should-never-be-made").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_one_may_not_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2\n")
    path.chmod(0)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        tables.read(path)


def test_a_cut_npy(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((5000, 3)))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="not a whole npy file"):
        tables.read(path)


def test_array_is_for_npz(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2\n")
    for function in (tables.read, tables.open_segments):
        with pytest.raises(DataError, match="npz"):
            function(path, array="X")


# ---------------------------------------------------------------- parquet


PARQUET_TYPES = {
    "float32": ([pa.array([1.5, None], pa.float32())] * 2, np.float32, [[1.5, 1.5], [np.nan, np.nan]]),
    "float64": ([pa.array([1.5, None], pa.float64())], np.float64, [[1.5], [np.nan]]),
    "float16": ([pa.array(np.array([1.5, 2], np.float16))], np.float32, [[1.5], [2]]),
    "uint8": ([pa.array([1, 255], pa.uint8())], np.uint8, [[1], [255]]),
    "int64": ([pa.array([1, 2**62], pa.int64())], np.int64, [[1], [2**62]]),
    "truth values": ([pa.array([True, False])], np.uint8, [[1], [0]]),
    "truth values and null": ([pa.array([True, None])], np.float32, [[1], [np.nan]]),
    "int8 and null": ([pa.array([-5, None], pa.int8())], np.float32, [[-5], [np.nan]]),
    "int64 and null": ([pa.array([7, None], pa.int64())], np.float64, [[7], [np.nan]]),
    "decimal": ([pa.array([125, None], pa.decimal128(5, 2))], np.float64, [[125], [np.nan]]),
    "nothing but null": ([pa.nulls(2), pa.array([1, 2], pa.int8())], np.float64, [[np.nan, 1], [np.nan, 2]]),
    "int8 and float32": (
        [pa.array([1, 2], pa.int8()), pa.array([0.5, 1], pa.float32())],
        np.float32,
        [[1, 0.5], [2, 1]],
    ),
    "int64 and float32": (
        [pa.array([1, 2]), pa.array([0.5, 1], pa.float32())],
        np.float64,
        [[1, 0.5], [2, 1]],
    ),
    "uint8 and int8": ([pa.array([255], pa.uint8()), pa.array([-1], pa.int8())], np.int16, [[255, -1]]),
}


@pytest.mark.parametrize("case", PARQUET_TYPES)
def test_parquet_types(case, tmp_path):
    arrays, dtype, expected = PARQUET_TYPES[case]
    path = tmp_path / "a.parquet"
    names = [f"c{k}" for k in range(len(arrays))]
    pq.write_table(pa.table(dict(zip(names, arrays, strict=True))), path)
    table = tables.read(path)
    assert table.values.dtype == dtype
    assert table.columns == names
    np.testing.assert_array_equal(table.values, expected)


def test_importing_is_light():
    code = (
        "import sys, narrows.tables, narrows.datasets, narrows.io.atomic\n"
        "print([m for m in ('torch', 'sklearn', 'pandas', 'pyarrow', 'scipy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "f8"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet", "a.npy", "a.npz"])
@pytest.mark.parametrize("columns", [None, ["first, one", 'the "second"', "3"]])
def test_what_is_written_is_read_back(name, dtype, columns, tmp_path):
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((50, 3)) * 100).astype(dtype)
    if values.dtype.kind == "f":
        values[3, 1] = np.nan
        values[4] = [np.inf, -np.inf, np.finfo(dtype).tiny]
    tables.write(tmp_path / name, values, columns=columns)
    table = tables.read(tmp_path / name)
    np.testing.assert_array_equal(table.values.astype(dtype), values)
    if name in ("a.parquet", "a.npy", "a.npz"):
        assert table.values.dtype == np.dtype(dtype)
    if name == "a.npy" or (columns is None and name != "a.parquet"):
        assert table.columns is None
    else:
        assert table.columns == (columns or ["x0", "x1", "x2"])
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_text_has_no_more_digits_than_needed(tmp_path):
    tables.write(tmp_path / "a.csv", np.array([[0.1, 1 / 3]], np.float32))
    assert (tmp_path / "a.csv").read_text() == "0.1,0.33333334\n"


def test_odd_values_to_write(tmp_path):
    tables.write(tmp_path / "a.csv", [1, 2, 3])
    assert tables.read(tmp_path / "a.csv").values.shape == (3, 1)
    tables.write(tmp_path / "a.npy", np.zeros((2, 3, 4), bool))
    assert tables.read(tmp_path / "a.npy").shape == (3, 4)
    tables.write(tmp_path / "a.parquet", np.zeros((2, 3), np.float16))
    assert tables.read(tmp_path / "a.parquet").values.dtype == np.float32
    tables.write(tmp_path / "t.csv", np.asfortranarray([[1, 2], [3, 4]]))
    np.testing.assert_array_equal(tables.read(tmp_path / "t.csv").values, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("name", "values", "columns", "message"),
    [
        ("a.xlsx", [[1]], None, r"does not write; it writes \.csv, \.tsv, \.parquet, \.npy and \.npz"),
        ("a.csv.gz", [[1]], None, "does not write"),
        ("a", [[1]], None, "does not write"),
        ("a.csv", [["x"]], None, "not numbers"),
        ("a.csv", [[1, 2], [3]], None, "not a table"),
        ("a.csv", 3.0, None, "single number"),
        ("a.csv", np.zeros((2, 2, 2)), None, r"shape \(2, 2, 2\) fits \.npy"),
        ("a.csv", [[1, 2]], ["x"], "1 column names for 2 columns"),
        ("a.csv", [[1, 2]], ["1", "2"], "read back as a row"),
        ("a.parquet", [[1, 2]], ["x", "x"], "differ"),
        ("none/a.csv", [[1]], None, "the folder .* does not exist"),
        ("file/a.csv", [[1]], None, "is not a folder|does not exist"),
        ("folder.csv", [[1]], None, "is a folder"),
    ],
)
def test_what_cannot_be_written(name, values, columns, message, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=message):
        tables.write(tmp_path / name, values, columns=columns)
    assert sorted(tmp_path.rglob("*")) == before


# ---------------------------------------------------------------- whole or not at all


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), OSError(2, "a source is missing")])
def test_an_error_leaves_the_old_file_and_nothing_else(error, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half():
        with atomic_write(path) as temporary:
            temporary.write_text("new, but only hal")
            raise error

    with pytest.raises(type(error)) as caught:
        write_half()
    assert caught.value is error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_sentence(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(DataError, match=r"a\.txt could not be written: No space left"), atomic_write(path):
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"


def test_the_file_appears_only_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "new"


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_permissions_and_links_stay(tmp_path):
    path, link = tmp_path / "a.txt", tmp_path / "link.txt"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    with atomic_write(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    plain = tmp_path / "plain.txt"
    plain.write_text("")
    with atomic_write(tmp_path / "fresh.txt"):
        pass
    assert (tmp_path / "fresh.txt").stat().st_mode == plain.stat().st_mode


@pytest.mark.skipif(os.name != "posix", reason="devices")
def test_a_device_is_not_replaced():
    with pytest.raises(DataError, match="not a plain file"), atomic_write("/dev/null"):
        pass
    assert not Path("/dev/null").is_file()


def test_a_name_as_long_as_they_come(tmp_path):
    with atomic_write(tmp_path / ("n" * 250)) as temporary:
        temporary.write_text("new")
    assert (tmp_path / ("n" * 250)).read_text() == "new"


def test_a_failing_write_keeps_the_old_table(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    tables.write(path, [[1, 2]])

    def fail(*_args, **_options):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        tables.write(path, [[3, 4]])
    np.testing.assert_array_equal(tables.read(path).values, [[1, 2]])
    assert list(tmp_path.iterdir()) == [path]


def test_the_plain_parser_is_used_only_where_needed(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n")
    monkeypatch.setattr(text, "parse_text", None)
    np.testing.assert_array_equal(tables.read(path).values, [[1, 2]])


def test_whole_numbers_are_written_without_a_point(tmp_path):
    values = np.array([[37.0, -4.0, 0.5], [1e16, 10.0, -0.0]])
    tables.write(tmp_path / "a.csv", values)
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "37,-4,0.5"
    np.testing.assert_array_equal(tables.read(tmp_path / "a.csv").values, values)
