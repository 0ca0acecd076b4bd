"""Sources: whatever has columns opens as the same Arrow data, streams, and goes back as it came, or is refused."""

from __future__ import annotations

import datetime as dt
import io
import sys
import uuid
from decimal import Decimal
from types import SimpleNamespace

import duckdb
import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from narrows.data.opening import choose_columns, is_tabular, open_source
from narrows.data.output import to_origin, write_table
from narrows.errors import DataError

N = 100


def plain_table() -> pa.Table:
    """Numbers, whole numbers and texts, with gaps in the latter."""
    rng = np.random.default_rng(0)
    names = [None if k % 9 == 0 else f"n{k % 7}" for k in range(N)]
    return pa.table({"count": pa.array(range(N)), "size": pa.array(rng.normal(size=N)), "name": pa.array(names)})


def normal_form(source) -> pa.Table:
    """Return a source's rows with one type for texts."""
    table = source.table()
    for number, column in enumerate(table.schema):
        if pa.types.is_large_string(column.type):
            table = table.set_column(number, column.name, table.column(number).cast(pa.string()))
    return table.combine_chunks().replace_schema_metadata(None)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the plain table in every format, and in several files."""
    home = tmp_path_factory.mktemp("sources")
    table = plain_table()
    for name in ("t.csv", "t.tsv", "t.csv.gz", "t.parquet", "t.feather"):
        write_table(home / name, table)
    with pa.ipc.new_stream(home / "t.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=30)
    for start in range(0, N, 25):
        for ending in ("parquet", "csv"):
            (home / f"many_{ending}").mkdir(exist_ok=True)
            write_table(home / f"many_{ending}" / f"part-{start:02d}.{ending}", table.slice(start, 25))
        (home / f"hive/start={start:02d}/kind=a%20b").mkdir(parents=True)
        write_table(home / f"hive/start={start:02d}/kind=a%20b/part.parquet", table.slice(start, 25))
    return home


FRAMES = {
    "pandas": lambda t: t.to_pandas(),
    "nullable": lambda t: t.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype(), pa.string(): pd.StringDtype()}.get),
    "arrow pandas": lambda t: t.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.from_arrow,
    "lazy": lambda t: pl.from_arrow(t).lazy(),
    "table": lambda t: t,
    "reader": lambda t: t.to_reader(30),
    "stream": lambda t: SimpleNamespace(__arrow_c_stream__=t.__arrow_c_stream__),
    "dataset": ds.dataset,
    "duckdb": lambda t: duckdb.from_arrow(t),
    "dict": lambda t: t.to_pydict(),
    "dict of arrays": lambda t: {name: t.column(name) for name in t.column_names},
    "iterator": lambda t: iter(t.to_batches(30)),
    "frames": lambda t: (t.slice(start, 40).to_pandas() for start in range(0, N, 40)),
    "list": lambda t: [pl.from_arrow(t.slice(0, 50)), pl.from_arrow(t.slice(50))],
}
FILES = [
    "t.csv",
    "t.tsv",
    "t.csv.gz",
    "t.parquet",
    "t.feather",
    "t.arrow",
    "many_parquet",
    "many_parquet/*.parquet",
    "many_csv",
]


@pytest.mark.parametrize("name", FRAMES)
def test_every_frame_is_the_same_table(name) -> None:
    source = open_source(FRAMES[name](plain_table()))
    assert normal_form(source).equals(plain_table())
    assert normal_form(source).equals(plain_table()), "reading again gives the same"
    assert source.n_rows in (None, N)
    assert sum(source.segment_rows()) == N
    assert normal_form(open_source(source, columns="name")).equals(plain_table().select(["name"]))
    assert all(len(batch) <= 7 for batch in source.batches(batch_rows=7))


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_the_same_table(name, home) -> None:
    source = open_source(home / name)
    assert normal_form(source).equals(plain_table())
    segments = [batch for number in range(source.n_segments()) for batch in source.segment(number, ["size"], 10)]
    assert max(map(len, segments)) <= 10
    assert pa.Table.from_batches(segments).column("size").equals(plain_table().column("size"))
    assert source.origin.library == "file"


def test_lists_urls_and_partitions(home) -> None:
    parts = [home / "many_parquet" / f"part-{start:02d}.parquet" for start in range(0, N, 25)]
    assert normal_form(open_source(parts)).equals(plain_table())
    assert normal_form(open_source(f"file://{home}/many_parquet")).equals(plain_table())
    memory = fsspec.filesystem("memory")
    memory.put(f"{home}/many_parquet/", "/narrows/many/", recursive=True)
    memory.put(str(home / "t.feather"), "/narrows/t.feather")
    for url in ("memory://narrows/many", "memory://narrows/many/*.parquet", "memory://narrows/t.feather"):
        assert normal_form(open_source(url)).equals(plain_table())
    elsewhere = open_source([parts[0], "memory://narrows/many/part-25.parquet"])
    assert normal_form(elsewhere).equals(plain_table().slice(0, 50))
    memory.rm("/narrows", recursive=True)
    for place in (home / "hive", home / "hive/*/*/part.parquet"):
        source = open_source(place)
        assert source.arrow_schema.names == ["count", "size", "name", "start", "kind"]
        # Numbers with leading zeros are spellings, not numbers.
        assert source.table().column("start").to_pylist() == [f"{k // 25 * 25:02d}" for k in range(N)]
        assert set(source.table(["kind"]).column("kind").to_pylist()) == {"a b"}
    assert normal_form(open_source(home / "hive", drop=["start", "kind"])).equals(plain_table())


def test_objects_of_s3(home, monkeypatch) -> None:
    s3fs = pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        bucket = s3fs.S3FileSystem()
        bucket.mkdir("shop")
        bucket.put(f"{home}/many_parquet/", "shop/many/", recursive=True)
        for url in ("s3://shop/many", "s3://shop/many/*.parquet"):
            assert normal_form(open_source(url)).equals(plain_table())
        with pytest.raises(DataError, match="s3://shop/none"):
            open_source("s3://shop/none.parquet")
        with pytest.raises(DataError, match="s3://nobody"):
            open_source("s3://nobody/x.parquet")
    finally:
        server.stop()


def test_folders_pass_over_what_is_no_data(home, tmp_path) -> None:
    folder = tmp_path / "data.parquet"
    for start in range(0, N, 25):
        part = folder / f"start={start:02d}"
        part.mkdir(parents=True)
        write_table(part / "part.parquet", plain_table().slice(start, 25))
    (folder / "_SUCCESS").touch()
    (folder / ".part.crc").write_bytes(b"x")
    (folder / "README.md").write_text("About")
    source = open_source(folder)
    assert source.n_rows == N
    assert len(source.notes) == 1
    assert "README.md" in source.notes[0]
    # What a shell makes of a glob, and one that names folders.
    for places in (sorted(map(str, folder.glob("*/*.parquet"))), folder / "start=*"):
        assert open_source(places).arrow_schema.names == ["count", "size", "name", "start"]
    (folder / "start=00" / "ABOUT.txt").write_text("About this folder.")
    with pytest.raises(DataError, match="different formats"):
        open_source(folder)


def test_damage_is_found_and_long_cells_are_read_few_at_a_time(tmp_path) -> None:
    rng = np.random.default_rng(0)
    pq.write_table(pa.table({"a": rng.normal(size=50_000)}), tmp_path / "a.parquet", row_group_size=20_000)
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[200_000:200_100] = bytes(100)
    content[4:40] = bytes(36)
    (tmp_path / "bad.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.parquet is damaged"):
        open_source(tmp_path / "bad.parquet").table()
    pq.write_table(pa.table({"a": [rng.bytes(100_000).hex() for _ in range(1500)]}), tmp_path / "long.parquet")
    assert 1 < max(map(len, open_source(tmp_path / "long.parquet").batches())) < 1000


def test_columns_of_files_are_brought_together_by_name(tmp_path) -> None:
    write_table(tmp_path / "a.parquet", pa.table({"x": [1, 2], "y": ["a", "b"]}))
    write_table(tmp_path / "b.parquet", pa.table({"y": ["c"], "x": [0.5], "z": [True]}))
    source = open_source(tmp_path)
    assert source.table().to_pydict() == {"x": [1, 2, 0.5], "y": ["a", "b", "c"], "z": [None, None, True]}
    assert len(source.notes) == 1
    assert "a.parquet" in source.notes[0]
    assert "'z'" in source.notes[0]
    write_table(tmp_path / "c.parquet", pa.table({"x": ["text"]}))
    with pytest.raises(DataError, match=r"'x' of .*c\.parquet"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("files", "read"),
    [
        (["a;b\n1;x\n", "b;a\ny;3,5\n"], {"a": [1, 3.5], "b": ["x", "y"]}),
        (["a,b\n1,x\n", "a,b\n2,\n"], {"a": [1, 2], "b": ["x", None]}),
        (["a,b\n1,1.50\n", "a,b\n007,x\n"], {"a": ["1", "007"], "b": ["1.50", "x"]}),
        ([",v\n0,1.5\n1,2.5\n", ",v\n2,3.5\n"], {"index": [0, 1, 2], "v": [1.5, 2.5, 3.5]}),
        (["1,x\n2,y\n", "3,z\n"], {"column_0": [1, 2, 3], "column_1": ["x", "y", "z"]}),
    ],
)
def test_files_of_text_have_types_in_common(files, read, tmp_path) -> None:
    for number, content in enumerate(files):
        (tmp_path / f"{number}.csv").write_text(content)
    source = open_source(tmp_path)
    assert source.table().to_pydict() == read
    assert source.index_columns == [name for name in read if name == "index"]
    assert source.origin.named == ("column_1" not in read)


def test_parquet_knows_its_index_and_streams_by_row_groups(tmp_path) -> None:
    frame = pd.DataFrame({"a": range(10)}, index=range(10, 0, -1)).sample(frac=1, random_state=0)
    frame.to_parquet(tmp_path / "index.parquet", row_group_size=4)
    source = open_source(tmp_path / "index.parquet")
    assert source.index_columns == ["__index_level_0__"]
    assert open_source(tmp_path / "index.parquet", index=False).index_columns == []
    assert source.segment_rows() == [4, 4, 2]
    named = frame.rename_axis("day")
    named.to_parquet(tmp_path / "named.parquet")
    assert open_source(tmp_path / "named.parquet").index_columns == ["day"]
    assert open_source(pa.Table.from_pandas(named)).index_columns == ["day"]
    assert open_source({"id": [3, 1], "v": [0, 1]}, index="id").index_columns == ["id"]
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    assert open_source(tmp_path / "none.parquet").n_rows == 0


def test_arrays_of_every_kind(tmp_path) -> None:
    values = np.arange(24, dtype=np.int16).reshape(4, 2, 3)
    source = open_source(values)
    assert source.row_shape == (2, 3)
    assert source.arrow_schema == pa.schema([(f"x{k}", pa.int16()) for k in range(6)])
    assert np.array_equal(np.column_stack(source.table().columns), values.reshape(4, 6))
    for order in ("C", "F"):
        big = np.asarray(np.random.default_rng(0).normal(size=(400_000, 8)), order=order)
        np.save(tmp_path / "big.npy", big)
        mapped = open_source(tmp_path / "big.npy")
        assert mapped.n_segments() == 2
        assert not mapped.origin.named
        assert np.array_equal(np.column_stack(mapped.table().columns), big)
        assert np.array_equal(next(mapped.segment(1, ["x3"], 10)).column(0), big[mapped.segment_rows()[0] :, 3][:10])
    np.savez(tmp_path / "a.npz", X=values, other=values[:2], columns=np.array(list("abcdef")))
    assert open_source(tmp_path / "a.npz").arrow_schema.names == list("abcdef")
    assert open_source(tmp_path / "a.npz", array="other").n_rows == 2
    header = bytes([0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 3])
    (tmp_path / "t-images-idx3-ubyte").write_bytes(header + values.astype(np.uint8).tobytes())
    assert open_source(tmp_path / "t-images-idx3-ubyte").row_shape == (2, 3)
    masked = np.ma.masked_array([[1, 2], [3, 4]], [[False, True], [False, False]])
    assert open_source(masked).table().to_pydict() == {"x0": [1, 3], "x1": [None, 4]}
    assert open_source(np.ones((2, 1), np.longdouble)).arrow_schema.types == [pa.float64()]
    assert open_source(np.ones((2, 1), ">f4")).arrow_schema.types == [pa.float32()]
    moments = open_source(np.array([["2020-01-01T05", "NaT"]], "M8[h]")).table()
    assert moments.to_pydict() == {"x0": [dt.datetime(2020, 1, 1, 5)], "x1": [None]}
    assert open_source(np.array([[3]], "m8[D]")).table().column(0).to_pylist() == [dt.timedelta(days=3)]
    records = np.array([(1, "x", 0.5)], [("i", "i4"), ("s", "U3"), ("f", "f8")])
    assert open_source(records).table().to_pylist() == [{"i": 1, "s": "x", "f": 0.5}]


@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        ([np.int64(3), None], pa.int64(), [3, None]),
        ([Decimal("1.50"), Decimal(2)], pa.decimal128(3, 2), [Decimal("1.50"), Decimal("2.00")]),
        ([Decimal("1.5"), 2.5], pa.float64(), [1.5, 2.5]),
        ([2**64 + 1, 7], pa.string(), ["18446744073709551617", "7"]),
        ([uuid.UUID(int=1), None], pa.string(), [str(uuid.UUID(int=1)), None]),
        ([b"abc", None], pa.string(), ["abc", None]),
        ([True, None], pa.bool_(), [True, None]),
        ([pd.Timestamp(2020, 1, 1), pd.NaT], pa.timestamp("us"), [dt.datetime(2020, 1, 1), None]),
        (["007", "7"], pa.string(), ["007", "7"]),
    ],
)
def test_objects_become_one_type(values, kind, read) -> None:
    for data in (pd.DataFrame({"v": pd.Series(values, dtype=object)}), {"v": values}):
        source = open_source(data)
        assert source.arrow_schema.types == [kind]
        assert source.table().column("v").to_pylist() == read


def test_frames_go_back_as_they_came() -> None:
    frame = pd.DataFrame(
        {
            3: [1, 2, 3],
            1: pd.Categorical(["u", "v", "u"], ["v", "u", "w"], ordered=True),
            "n": pd.array([1, None, 3], "Int64"),
            "b": pd.array([True, None, False], "boolean"),
            "a": pd.array([1, None, 3], pd.ArrowDtype(pa.int32())),
            "t": pd.to_datetime(["2020-01-01", None, "2020-01-03"]).tz_localize("Europe/Berlin"),
            "p": pd.PeriodIndex(["2020-01", "2020-02", None], freq="M"),
            "s": pd.arrays.SparseArray([0, 0, 1.0]),
            "f": np.array([1, 2, 3], "f4"),
            "o": [True, None, False],
            "c": pd.Categorical([3, 1, 3]),
            "d": pd.to_timedelta([1, 2, None], unit="s"),
        },
        index=pd.Index([5, 6, 9], name="row"),
    )
    source = open_source(frame)
    back = to_origin(source.table(), source.origin)
    pd.testing.assert_frame_equal(back, frame)
    scored = source.table().append_column("score", pa.array([0.5, 1, 2]))
    assert list(to_origin(scored, source.origin).columns) == [*frame.columns, "score"]
    chosen = open_source(frame, columns=["c", 0])
    pd.testing.assert_frame_equal(to_origin(chosen.table(), chosen.origin), frame[["c", 3]])

    levels = pl.Series(["u", "v", None], dtype=pl.Enum(["v", "u", "w"]))
    numbers = {"i": pl.Series([1, 2, 3], dtype=pl.UInt8), "d": pl.Series(["1.5", "2", None]).cast(pl.Decimal(10, 2))}
    rows = pl.DataFrame(
        {"e": levels, "c": levels.cast(pl.String).cast(pl.Categorical), **numbers, "t": ["x", None, "y"]}
    )
    for data in (rows, rows.lazy()):
        source = open_source(data)
        assert to_origin(source.table(), source.origin).equals(rows)
        assert to_origin(source.table(), source.origin).schema == rows.schema

    columns = {7: [1, None], "x": np.array([1.5, 2], np.float32)}
    source = open_source(columns)
    back = to_origin(source.table(), source.origin)
    assert list(back) == [7, "x"]
    assert back[7] == [1, None]
    assert back["x"].dtype == np.float32
    for array in (
        np.eye(2, dtype=np.uint8),
        np.array([(1, "x")], [("i", "i2"), ("s", "U3")]),
        np.ma.masked_equal([[1, 2]], 2),
    ):
        source = open_source(array)
        back = to_origin(source.table(), source.origin)
        assert back.dtype == array.dtype
        assert back.tolist() == array.tolist()


def test_types_that_do_not_hold_the_values_give_way() -> None:
    whole = {"a": np.array([1, 2], np.uint8)}
    for data in (whole, pd.DataFrame(whole), pl.DataFrame(whole), pa.table(whole), np.array([[1], [2]], np.uint8)):
        source = open_source(data)
        name = source.arrow_schema.names[0]
        for values in ([1.5, 2.0], [1, 300], [1, None]):
            back = open_source(to_origin(pa.table({name: pa.array(values)}), source.origin)).table()
            assert back.column(0).to_pylist() in (values, [1.0, np.nan]), data
    levels = pd.DataFrame({"a": pd.Categorical(["u", "v"])})
    source = open_source(levels)
    back = to_origin(pa.table({"a": ["u", "new"]}), source.origin)
    assert back["a"].tolist() == ["u", "new"]


def test_nothing_is_copied_that_need_not_be() -> None:
    column = np.arange(1000.0)
    for data in ({"a": column}, pd.DataFrame({"a": column}, copy=False), pa.table({"a": column})):
        address = open_source(data).table().column("a").chunk(0).buffers()[1].address
        assert address == pa.array(column).buffers()[1].address


def test_choosing_columns() -> None:
    names = ["t", "s_1", "s_2", "2020", "label"]
    for columns, drop, right in [
        (["label", 0], None, [4, 0]),
        ("s_*", None, [1, 2]),
        ("1:3", None, [1, 2]),
        (["2020", "0:2"], None, [3, 0, 1]),
        (["3:", ":1"], None, [3, 4, 0]),
        ("4", None, [4]),
        (None, ["s_*", "t"], [3, 4]),
        (["s_*", "t"], np.int64(1), [2, 0]),
    ]:
        assert choose_columns(names, columns, drop, "the table") == right
    for columns, drop, said in [
        ("lable", None, "'label'"),
        (["t", "t"], None, "twice"),
        (9, None, "5, counted"),
        ("3:9", None, "range"),
        ([], None, "nothing"),
        (None, "*", "nothing"),
        ([1.5], None, "1.5"),
        (True, None, "True"),
    ]:
        with pytest.raises(DataError, match=said):
            choose_columns(names, columns, drop, "the table")


def test_what_is_no_table_is_refused_by_a_sentence(home, tmp_path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.parquet").touch()
    (tmp_path / "cut.parquet").write_bytes((home / "t.parquet").read_bytes()[:-30])
    (tmp_path / "cut.feather").write_bytes((home / "t.feather").read_bytes()[:300])
    (tmp_path / "odd.json").write_text("{}")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "mixed").mkdir()
    for name in ("t.parquet", "t.csv"):
        (tmp_path / "mixed" / name).write_bytes((home / name).read_bytes())
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    np.save(tmp_path / "huge.npy", np.zeros(3))
    huge = (tmp_path / "huge.npy").read_bytes().replace(b"(3,), }          ", b"(1000000000000,),}")
    (tmp_path / "huge.npy").write_bytes(huge)
    levels = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])
    for data, options, said in [
        (tmp_path / "nope.csv", {}, "nope.csv"),
        (f"{tmp_path}/nope*.csv", {}, "no file matches"),
        ("a,b\n" + "1,2\n" * 1000, {}, "several lines"),
        ("x" * 300, {}, "does not exist"),
        (tmp_path / "folder", {}, "folder"),
        (tmp_path / "empty.parquet", {}, "empty"),
        (tmp_path / "cut.parquet", {}, "cut.parquet"),
        (tmp_path / "cut.feather", {}, "cut.feather"),
        (tmp_path / "odd.json", {}, "odd.json"),
        (tmp_path / "picture.png", {}, "images"),
        (tmp_path / "mixed", {}, "different formats"),
        (tmp_path / "objects.npy", {}, "Python objects"),
        (tmp_path / "huge.npy", {}, "huge.npy"),
        (tmp_path, {}, "images"),
        ("nowhere://bucket/x.csv", {}, "nowhere"),
        ("memory://nothing/x.csv", {}, "memory://nothing/x.csv"),
        (home / "t.parquet", {"delimiter": ";"}, "delimiter="),
        (home / "t.parquet", {"array": "X"}, "array="),
        ({"a": [1]}, {"encoding": "utf-8"}, "encoding="),
        (home / "t.parquet", {"index": "nope"}, "'nope'"),
        (home / "t.parquet", {"columns": "nope"}, "'nope'"),
        (sparse.eye_array(3).tocsr(), {}, "sparse"),
        (pd.DataFrame({"a": [1, 2]}, index=levels), {}, "MultiIndex"),
        (pd.DataFrame([[1, 2]], columns=levels), {}, "MultiIndex"),
        ({"a": [1, "x"]}, {}, "'a'"),
        ({"a": [b"\xff"]}, {}, "'a'"),
        ({"a": [object()]}, {}, "'a'"),
        ({"a": [1], "b": [1, 2]}, {}, "'b'"),
        ({"a": 1}, {}, "'a'"),
        ({"a": np.zeros((2, 2))}, {}, "'a'"),
        (np.array([[1j]]), {}, "'x0'"),
        (np.array(3), {}, "single"),
        (np.zeros((3, 0)), {}, "no columns"),
        (np.array([[np.longdouble(10) ** 400]]), {}, "too large"),
        ([[1], [1, 2]], {}, "no table"),
        (iter([]), {}, "no batches"),
        (7, {}, "int"),
    ]:
        with pytest.raises(DataError, match=said):
            open_source(data, **options).table()


def test_what_is_a_table(home, tmp_path) -> None:
    (tmp_path / "a.png").touch()
    tables = [home / "t.csv", home / "hive", "s3://bucket/x", "-", {"a": [1]}, plain_table(), iter([])]
    tables += [
        pd.DataFrame({"a": [1]}),
        pl.DataFrame(),
        pl.LazyFrame(),
        duckdb.sql("select 1"),
        ds.dataset(plain_table()),
    ]
    tables += [np.ma.masked_equal([[1]], 1), np.zeros((1, 1), "M8[s]"), [home / "t.csv"]]
    others = [np.zeros((2, 2)), [[1, 2]], sparse.eye_array(2), tmp_path, tmp_path / "a.png"]
    others += [pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])})]
    assert all(map(is_tabular, tables))
    assert not any(map(is_tabular, others))


def test_standard_input_is_text(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a,b\n1,x\n2,y\n")))
    source = open_source("-")
    assert source.table().to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
    assert source.table().to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


def test_written_tables_read_back(tmp_path) -> None:
    table = pa.table(
        {
            "f": [0.1, 1e-300, 123456789.123456789, 5e-324, None, 1.0],
            "s": pa.array([0.1, 2.0, None, 1e20, 3.5, -0.0], pa.float32()),
            "t": ["a", "b,c", 'q"', None, "two\nlines", "é"],
            "d": pa.array(["u", "v", None, "u", "u", "v"]).dictionary_encode(),
            "when": pa.array([dt.datetime(2020, 1, 1, 5)] * 6, pa.timestamp("us")),
        }
    )
    for ending in ("parquet", "feather"):
        write_table(tmp_path / f"t.{ending}", table)
        assert open_source(tmp_path / f"t.{ending}").table().equals(table)
    for name, sep in (("t.csv", ","), ("t.tsv", "\t"), ("t.csv.gz", ","), ("t.csv.zst", ",")):
        write_table(tmp_path / name, table)
        back = pd.read_csv(tmp_path / name, sep=sep)
        assert back["f"].equals(table.column("f").to_pandas())
        assert back["s"].astype("f4").equals(table.column("s").to_pandas())
        assert back["t"].tolist()[:3] == ["a", "b,c", 'q"']
        assert back["when"].tolist()[0] == "2020-01-01 05:00:00"
    write_table(tmp_path / "one.csv", pa.table({"a": [1.5, None]}))
    assert pd.read_csv(tmp_path / "one.csv")["a"].isna().tolist() == [False, True]
    assert (tmp_path / "one.csv").read_text() == "a\n1.5\nNA\n"
    numbers = table.select(["f", "s"])
    write_table(tmp_path / "n.npy", numbers)
    assert np.load(tmp_path / "n.npy").shape == (6, 2)
    write_table(tmp_path / "n.npz", numbers)
    assert open_source(tmp_path / "n.npz").arrow_schema.names == ["f", "s"]
    for name, said in (("t.npy", "'t'"), ("t.json", "writes"), ("t.txt", "writes"), ("no/t.csv", "no")):
        with pytest.raises(DataError, match=said):
            write_table(tmp_path / name, table)
    nested = pa.table({"l": [[1, 2]]})
    with pytest.raises(DataError, match="'l'"):
        write_table(tmp_path / "l.csv", nested)
    assert not (tmp_path / "l.csv").exists()
