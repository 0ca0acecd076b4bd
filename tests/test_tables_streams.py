"""Files read in pieces: the same rows as read whole, in bounded memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from narrows import tables
from narrows.errors import DataError
from narrows.tables import text_stream


def make(name, values, path):
    """Write a file of several segments."""
    if name.endswith("parquet"):
        columns = {f"c{k}": values[:, k] for k in range(values.shape[1])}
        pq.write_table(pa.table(columns), path, row_group_size=137)
    else:
        tables.write(path, values)


@pytest.fixture
def small_segments(monkeypatch):
    from narrows.tables import arrays

    monkeypatch.setattr(text_stream, "CHUNK_BYTES", 2000)
    monkeypatch.setattr(arrays, "_SEGMENT_BYTES", 2000)


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("piece_rows", [1, 7, 100, 137, 10_000])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet", "a.npy"])
def test_pieces_are_the_rows_in_order(name, piece_rows, tmp_path):
    values = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    make(name, values, tmp_path / name)
    file = tables.open_segments(tmp_path / name)
    assert len(file.segment_rows) > 2
    assert sum(file.segment_rows) == 500
    assert file.n_features == 3
    found = []
    for segment, n_rows in enumerate(file.segment_rows):
        pieces = list(file.read(segment, piece_rows))
        assert [len(piece) for piece in pieces[:-1]] == [piece_rows] * (len(pieces) - 1)
        assert 0 < len(pieces[-1]) <= piece_rows
        assert sum(map(len, pieces)) == n_rows
        assert all(piece.flags.c_contiguous and piece.dtype == file.dtype for piece in pieces)
        found += pieces
    np.testing.assert_array_equal(np.concatenate(found).astype(np.float32), values)
    # Again, and out of order.
    last = np.concatenate(list(file.read(len(file.segment_rows) - 1, 50)))
    np.testing.assert_array_equal(last.astype(np.float32), values[-len(last) :])


@pytest.mark.usefixtures("small_segments")
def test_types_of_pieces(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((9, 2, 3), bool))
    np.save(tmp_path / "f.npy", np.asfortranarray(np.arange(4000.0).reshape(1000, 4)))
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,NA\n")
    images = tables.open_segments(tmp_path / "a.npy")
    assert (images.dtype, images.n_features, images.shape) == (np.uint8, 6, (2, 3))
    assert next(images.read(0, 4)).shape == (4, 6)
    fortran = tables.open_segments(tmp_path / "f.npy")
    np.testing.assert_array_equal(next(fortran.read(1, 2))[0], 4 * fortran.segment_rows[0] + np.arange(4))
    text = tables.open_segments(tmp_path / "a.csv")
    assert (text.dtype, text.columns) == (np.float64, ["x", "y"])
    np.testing.assert_array_equal(next(text.read(0, 9)), [[1, 2], [3, np.nan]])


def test_chosen_columns_of_an_npy(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3000).reshape(1000, 3))
    file = tables.open_segments(tmp_path / "a.npy", columns=[2, 0])
    np.testing.assert_array_equal(next(file.read(0, 2)), [[2, 0], [5, 3]])


def test_whole_numbers_with_a_null_in_any_row_group_are_floats_in_all(tmp_path):
    values = pa.array([*range(300), None], pa.int16())
    pq.write_table(pa.table({"x": values}), tmp_path / "a.parquet", row_group_size=100)
    file = tables.open_segments(tmp_path / "a.parquet")
    assert file.dtype == np.float32
    assert [next(file.read(s, 5)).dtype for s in range(4)] == [np.float32] * 4
    pq.write_table(pa.table({"x": values[:300]}), tmp_path / "b.parquet", write_statistics=False)
    assert tables.open_segments(tmp_path / "b.parquet").dtype == np.float32


def test_empty_row_groups_are_left_out(tmp_path):
    table = pa.table({"x": [1.0, 2.0]})
    with pq.ParquetWriter(tmp_path / "a.parquet", table.schema) as writer:
        for part in (table[:0], table, table[:0], table[:1]):
            writer.write_table(part)
    file = tables.open_segments(tmp_path / "a.parquet")
    assert list(file.segment_rows) == [2, 1]
    np.testing.assert_array_equal(next(file.read(1, 9)), [[1]])


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\ufeffx,y\n", '"x,\n",y\n', "\n\nx,y\n"])
def test_text_in_every_dress(start, end, tmp_path, monkeypatch):
    rows = [f"{k},{k / 4}" for k in range(1000)]
    rows[10] = '"10","2.5"'
    content = start.replace("\n", end) + end.join([*rows[:20], "", *rows[20:]])
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="utf-8", newline="")
    file = tables.open_segments(path)
    found = np.concatenate([piece for s in range(len(file.segment_rows)) for piece in file.read(s, 64)])
    np.testing.assert_array_equal(found, np.column_stack([np.arange(1000), np.arange(1000) / 4]))


@pytest.mark.usefixtures("small_segments")
def test_commas_inside_quotes_part_no_fields(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,town,y\n" + '1,"Paris, France",2\n' * 300)
    file = tables.open_segments(path, columns=["y", "x"])
    np.testing.assert_array_equal(next(file.read(1, 1)), [[2, 1]])
    assert sum(file.segment_rows) == 300


@pytest.mark.usefixtures("small_segments")
def test_a_line_longer_than_a_chunk(tmp_path):
    path = tmp_path / "a.csv"
    values = np.random.default_rng(0).standard_normal((3, 400))
    tables.write(path, values)
    file = tables.open_segments(path)
    found = np.concatenate([piece for s in range(len(file.segment_rows)) for piece in file.read(s, 2)])
    np.testing.assert_array_equal(found, values)


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3", r"line 901: 3 fields, where the first row has 2"),
        ("1", r"line 901: 1 field, where the first row has 2"),
        ('1,"2', r"line 901: a quoted field does not end in its line"),
    ],
)
def test_the_shape_of_every_line_is_checked_on_opening(line, message, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "1,2\n" * 899 + line + "\n" + "1,2\n" * 50)
    with pytest.raises(DataError, match=message):
        tables.open_segments(path)


@pytest.mark.usefixtures("small_segments")
def test_text_far_down_is_found_with_its_line(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "1,2\n" * 899 + "1,Rome\n")
    file = tables.open_segments(path)
    with pytest.raises(DataError, match=r"line 901: column 'y' holds 'Rome'"):
        list(file.read(len(file.segment_rows) - 1, 10))


def test_text_in_the_first_rows_is_found_on_opening(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n3,Rome\n")
    with pytest.raises(DataError, match=r"line 3: column 'y' holds 'Rome'.*columns=\["):
        tables.open_segments(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npz", b"x", r"cannot be read in pieces; \.parquet, \.csv, \.tsv and \.npy files can"),
        ("a.csv.gz", b"x", "cannot be read in pieces"),
        ("a.idx", b"x", "cannot be read in pieces"),
        ("a.xlsx", b"x", "cannot be read in pieces"),
        ("a.csv", b"x,y\n", "column names but no rows"),
        ("a.csv", b"\n\n", "no rows"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"x,y\n\xff,1\n", "not UTF-8"),
    ],
)
def test_what_cannot_be_opened(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        tables.open_segments(path)
    assert str(path) in str(caught.value)


def test_a_file_that_changed_since(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "1,2\n" * 9)
    file = tables.open_segments(path)
    path.write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match="has changed"):
        list(file.read(0, 5))


def test_a_damaged_parquet_file(tmp_path):
    path = tmp_path / "a.parquet"
    values = np.random.default_rng(0).standard_normal(5000)
    pq.write_table(pa.table({"x": values}), path, use_dictionary=False, compression="gzip")
    content = bytearray(path.read_bytes())
    content[1000:3000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        list(tables.open_segments(path).read(0, 100))


MEASURE = """
import sys
import numpy as np
from narrows import tables
import pyarrow, pyarrow.csv, pyarrow.parquet
def peak():
    # Not ru_maxrss: a child begins with its parent's.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
path = sys.argv[1]
file = tables.open_segments(path)
before, total, rows = peak(), 0.0, 0
for segment in range(len(file.segment_rows)):
    for piece in file.read(segment, 1024):
        total += float(piece[:, 0].sum())
        rows += len(piece)
print(peak() - before, rows)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", ["a.parquet", "a.npy"])
def test_memory_is_bounded_by_the_piece(name, tmp_path):
    # 160 MB in one row group, or one map.
    n_rows, n_columns = 2_000_000, 20
    path = tmp_path / name
    column = np.random.default_rng(0).standard_normal(n_rows).astype(np.float32)
    if name == "a.npy":
        np.save(path, np.broadcast_to(column[:, None], (n_rows, n_columns)))
    else:
        columns = {f"c{k}": column for k in range(n_columns)}
        pq.write_table(pa.table(columns), path, row_group_size=n_rows, compression="none", use_dictionary=False)
    done = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    grown, rows = map(int, done.stdout.split())
    assert rows == n_rows
    assert grown < 0.6 * n_rows * n_columns * 4
