"""The codec: what goes in comes out, whatever it is; streams, files, rows by themselves, bounds, and what it tells."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone

import plain_tables as tables
from narrows import load as load_any
from narrows.codec import Codec, describe, evaluation
from narrows.codec.pictures.engine import PictureEngine
from narrows.codec.serialization import ENGINES
from narrows.errors import CodecFileError, DataError, ModelFileError, NotBetterThanBaselineWarning
from plain_models import PlainPictures, PlainTable

pytestmark = pytest.mark.filterwarnings("ignore::narrows.errors.NotBetterThanBaselineWarning")
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for place in ("table.engine", "codes"):
        monkeypatch.setattr(f"narrows.codec.{place}.TableModel", PlainTable)
    monkeypatch.setattr(PictureEngine, "fit_pictures", PlainPictures.fit_pictures)
    monkeypatch.setitem(ENGINES, "pictures", PlainPictures)


def fitted(X, **options):
    return Codec(**({"max_seconds": 1, "random_state": 0} | options)).fit(X)


def assert_same(found, X):
    assert type(found) is np.ndarray
    assert found.dtype == X.dtype
    assert found.dtype.byteorder == X.dtype.byteorder
    assert found.shape == X.shape
    if X.dtype == object:
        assert repr(found.tolist()) == repr(X.tolist())
    else:
        assert found.tobytes() == X.tobytes()
    assert found.flags.f_contiguous == X.flags.f_contiguous or not X.flags.forc


BASE = RNG.integers(0, 7, (600, 3))


def made(dtype):
    dtype = np.dtype(dtype)
    if dtype.kind in "US":
        return np.array(["red", "grün" if dtype.kind == "U" else "green", "", "a\0b"])[BASE % 4].astype(dtype)
    if dtype.kind == "O":
        cells = np.array(["x", None, 1, 1.0, True, "ü"], object)[BASE % 6]
        cells[3, 1] = float("nan")
        return cells
    if dtype.kind in "mM":
        found = (BASE * 1000).astype("i8").view("<i8").astype(dtype)
        found[4, 2] = "NaT"
        return found
    if dtype.kind in "fc":
        return (BASE / 4).astype(dtype)
    return BASE.astype(dtype)


TYPES = ["?", "i1", "u1", "<i2", ">i4", "<i8", ">u8", "u4", "<f2", ">f4", "<f8", ">f8", "c16", "g", "U4", ">U5", "S6"]
TYPES += ["O", "M8[ns]", ">M8[D]", "m8[s]"]


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_and_shape_comes_back(dtype):
    whole = made(dtype)
    three = whole.reshape(300, 3, 2, 1) if dtype == "u1" else whole.reshape(100, 6, 3)
    readonly = whole.copy()
    readonly.flags.writeable = False
    same = [whole, np.asfortranarray(whole), whole[::2, ::-1], readonly, whole[:1], whole[:0]]
    for forms in (same, [whole[:, :1]], [whole[:, 0]], [three]):
        codec = fitted(forms[0])
        for X in forms:
            data = codec.compress(X)
            kept = X.flags.c_contiguous or X.flags.f_contiguous
            assert_same(codec.decompress(data), X if kept else np.copy(X, order="C"))
            assert describe(data)["shape"] == X.shape
            assert describe(data)["dtype"] == X.dtype.str


def test_extremes_beyond_the_fit_come_back():
    codec = fitted(BASE)
    X = np.array([[-(2**63), 2**63 - 1, 0], [0, -1, 1]])
    assert_same(codec.decompress(codec.compress(X)), X)
    huge = np.array([[2**64 - 1, 0, 2**63]], np.uint64)
    assert_same(codec.decompress(codec.compress(huge)), huge)


@pytest.mark.parametrize("shape", [(8, 8), (8, 4, 2), (4, 4, 4)])
def test_pictures_come_back_in_the_shape_they_had(shape):
    flat = (RNG.integers(0, 4, (200, 64)) * 60).astype(np.uint8)
    images = flat.reshape(200, *shape)
    codec = fitted(images)
    assert codec.kind_ == "pictures"
    assert codec.image_shape_ == shape
    for X in (images, images[:1], images[:0], np.asfortranarray(images), 255 - images):
        assert_same(codec.decompress(codec.compress(X)), X)
    assert_same(codec.decompress(codec.compress(flat)), flat)
    for other in (flat[:, :32], images[:, :2], images.reshape(200, 2, 32), flat.astype(int)):
        with pytest.raises(DataError):
            codec.compress(other)
    by_option = fitted(flat, image_shape=shape)
    assert by_option.kind_ == "pictures"
    assert_same(by_option.decompress(by_option.compress(flat)), flat)
    assert fitted(flat).kind_ == "table"


def test_strange_pictures_cost_one_part_in_a_hundred():
    codec = fitted(np.zeros((100, 28, 28), np.uint8))
    noise = RNG.integers(0, 256, (500, 28, 28)).astype(np.uint8)
    data = codec.compress(noise)
    assert_same(codec.decompress(data), noise)
    assert len(data) < 1.01 * noise.nbytes + 100
    # What is strange but regular is packed.
    regular = np.full((500, 28, 28), 77, np.uint8)
    assert len(codec.compress(regular)) < 0.02 * regular.nbytes


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "i2"])
def test_strange_tables_cost_one_part_in_a_hundred(dtype):
    codec = fitted((RNG.integers(0, 3, (500, 40)) / 2).astype(dtype))
    noise = np.frombuffer(RNG.bytes(1000 * 40 * np.dtype(dtype).itemsize), dtype).reshape(1000, 40)
    data = codec.compress(noise)
    assert codec.decompress(data).tobytes() == noise.tobytes()
    assert len(data) < 1.01 * noise.nbytes + 200


MASK = np.arange(600) % 7 == 0
ROWS = [slice(None), slice(3, 500), slice(None, None, -1), slice(100, 90), slice(500, 5, -7), range(4, 400, 3), 5, -1]
ROWS += [np.int64(3), [], [0], [599, 0, 300, 300, -600], np.array([255, 256, 257]), MASK]


def test_some_rows_are_those_rows():
    codec = fitted(BASE)
    data = codec.compress(BASE)
    for rows in ROWS:
        wanted = [rows] if isinstance(rows, (int, np.integer)) else rows
        wanted = np.array(wanted, dtype=int) if isinstance(wanted, list) else wanted
        assert_same(codec.decompress(data, rows), np.ascontiguousarray(BASE[wanted]))
    for rows in (600, [0, -601], "a", [0.5]):
        with pytest.raises(DataError):
            codec.decompress(data, rows)


def test_only_the_blocks_needed_are_decoded(monkeypatch):
    codec = fitted(BASE, n_jobs=1)
    data = codec.compress(BASE)
    asked = []
    honest = PlainTable.decode
    monkeypatch.setattr(PlainTable, "decode", lambda self, data, n: asked.append(n) or honest(self, data, n))
    codec.decompress(data, rows=[3, 599])
    assert asked == [256, 600 - 512]


def test_threads_and_pieces_do_not_change_a_byte():
    X = RNG.integers(0, 9, (3000, 4))
    one = fitted(X, n_jobs=1)
    data = one.compress(X)
    many = fitted(X, n_jobs=7)
    assert many.fingerprint_ == one.fingerprint_
    assert many.compress(X) == data
    assert_same(many.decompress(data), X)
    for size in (1, 100, 256, 777, 5000):
        file = io.BytesIO()
        size_told = one.compress_to((X[start : start + size] for start in range(0, 3000, size)), file)
        assert file.getvalue() == data
        assert size_told == len(data)
    pieces = list(one.decompress_pieces(data))
    assert [len(piece) for piece in pieces] == [256] * 11 + [184]
    assert np.array_equal(np.concatenate(pieces), X)
    for wrong in ([X, X.astype("i4")], []):
        with pytest.raises(DataError):
            one.compress_to(wrong, io.BytesIO())


def frames():
    pd = pytest.importorskip("pandas")
    n = 700
    words = np.array(["a", "ü", "", "b\0c"], object)[RNG.integers(0, 4, n)]
    gaps = words.copy()
    gaps[RNG.random(n) < 0.1] = None
    base = pd.DataFrame(
        {
            "int": RNG.integers(-5, 5, n),
            "small": RNG.integers(0, 5, n).astype("u1"),
            "float": RNG.integers(0, 500, n) / 100,
            "noise": RNG.normal(size=n).astype("f4"),
            "bool": RNG.random(n) < 0.3,
            "text": words,
            "object": pd.Series(gaps, dtype=object),
            "text with gaps": pd.Series(gaps),
            "string": pd.array(gaps, dtype="string"),
            "category": pd.Categorical(gaps, categories=["ü", "a", "", "b\0c", "never"], ordered=True),
            "numbers": pd.Categorical(RNG.integers(3, 6, n) * 10),
            "Int64": pd.array(np.where(RNG.random(n) < 0.1, None, 5), dtype="Int64"),
            "UInt8": pd.array(np.arange(n) % 256, dtype="UInt8"),
            "boolean": pd.array(np.where(RNG.random(n) < 0.1, None, RNG.random(n) < 0.5), dtype="boolean"),
            "Float32": pd.array(np.where(RNG.random(n) < 0.1, None, 0.5), dtype="Float32"),
            "date": pd.date_range("2020-01-01", periods=n, freq="h"),
            "zoned": pd.date_range("2020-01-01", periods=n, freq="h", tz="Europe/Rome"),
            "delta": pd.to_timedelta(np.arange(n), unit="s"),
        }
    )
    base.loc[5, ["float", "date", "zoned"]] = None
    few = base[["int", "text"]]
    twice = few.copy()
    twice.columns = ["x", "x"]
    numbered = few.copy()
    numbered.columns = [7, 3]
    return {
        "all": base,
        "range": pd.DataFrame(RNG.integers(0, 5, (n, 3))),
        "twice": twice,
        "numbered": numbered,
        "named": few.rename_axis(index="row", columns="what"),
        "counted": few.set_axis(pd.RangeIndex(10, 10 + 3 * n, 3)),
        "by text": few.set_index(words + np.arange(n).astype(str)),
        "by number": few.iloc[::-1],
        "by date": few.set_index(pd.DatetimeIndex(base["date"].ffill(), name="when")),
        "of objects": few.astype(object),
    }


NAMES = ["all", "range", "twice", "numbered", "named", "counted", "by text", "by number", "by date", "of objects"]


@pytest.mark.parametrize("name", NAMES)
def test_frames_come_back(name, tmp_path):
    pd = pytest.importorskip("pandas")
    frame = frames()[name]
    codec = fitted(frame)
    data = codec.compress(frame)
    for rows in (slice(None), slice(5, 600), slice(0, 300, 7), [3, 600, 3], slice(0, 0)):
        pd.testing.assert_frame_equal(codec.decompress(data, rows), frame.iloc[rows], check_freq=False)
    for some in (frame.iloc[:0], frame.iloc[5:6]):
        pd.testing.assert_frame_equal(codec.decompress(codec.compress(some)), some, check_freq=False)
    codec.save(tmp_path / "codec")
    pd.testing.assert_frame_equal(Codec.load(tmp_path / "codec").decompress(data), frame, check_freq=False)
    if name != "by date":
        file = io.BytesIO()
        codec.compress_to((frame.iloc[start : start + 100] for start in range(0, 700, 100)), file)
        assert file.getvalue() == data


def test_frames_that_are_not_kept():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": RNG.integers(0, 5, 50), "b": 1})
    codec = fitted(frame)
    changed = [pd.period_range("2020", periods=50), [{1}] * 50, frame["a"] / 2]
    others = [frame.set_index(["a"], append=True), frame[["a"]], frame[["b", "a"]], frame.iloc[[3, 1, 7]], frame["a"]]
    for other in [*(frame.assign(a=values) for values in changed), *others, pd.DataFrame(index=[1])]:
        with pytest.raises(DataError):
            codec.compress(other)


def test_columns_come_back():
    columns = {"user": RNG.integers(0, 50, 400), "film": RNG.choice(["Heat", "Alien"], 400)}
    columns["rating"] = RNG.integers(1, 11, 400) / 2
    codec = fitted(columns)
    data = codec.compress(columns)
    found = codec.decompress(data)
    assert list(found) == list(columns) == describe(data)["columns"]
    for name, values in columns.items():
        assert_same(found[name], values)
    pieces = [{name: values[s : s + 90] for name, values in columns.items()} for s in range(0, 400, 90)]
    codec.compress_to(pieces, file := io.BytesIO())
    assert file.getvalue() == data


RECORDS, MASKED = np.zeros(3, [("a", int)]), np.ma.masked_array([1, 2])


@pytest.mark.parametrize(
    "X", [np.zeros((0, 3)), np.zeros((3, 0)), np.float64(3), RECORDS, MASKED, {}, {"a": [1], "b": [1, 2]}, "none.csv"]
)
def test_what_cannot_be_fitted_to(X):
    with pytest.raises(DataError):
        fitted(X)


@pytest.mark.parametrize("error", [0, float("nan"), "small", {"z": 1.0}])
def test_bounds_that_cannot_be(error):
    with pytest.raises(DataError, match="max_error"):
        fitted(BASE.astype(np.uint8), max_error=error)


@pytest.mark.parametrize("options", ["relative", "n_components", "max_seconds", "n_jobs", "image_shape", "code_only"])
def test_options_that_cannot_be(options):
    values = {"relative": True, "n_components": 3, "max_seconds": 0, "n_jobs": 0, "image_shape": (5, 5)}
    given = {"code_only": True, "max_error": 1.0} if options == "code_only" else {options: values[options]}
    with pytest.raises(DataError, match=options):
        fitted(BASE.astype(np.uint8), **given)


def test_it_is_a_scikit_learn_object(tmp_path):
    codec = Codec({1: 0.5}, relative=True, max_seconds=3.0, random_state=4)
    assert clone(codec).get_params() == codec.get_params()
    X = BASE / 4
    codec.fit(X)
    codec.save(tmp_path / "codec")
    again = load_any(tmp_path / "codec")
    assert again.get_params() == codec.get_params()
    names = ["bits_per_value_", "peers_", "rows_to_pay_", "model_bytes_", "fingerprint_", "kind_", "n_features_in_"]
    assert [getattr(again, name) for name in names] == [getattr(codec, name) for name in names]
    assert again.compress(X) == codec.compress(X)
    assert abs(codec.model_bytes_ - (tmp_path / "codec").stat().st_size) < 50
    from narrows import Autoencoder

    Autoencoder(2, max_epochs=2, random_state=0).fit(X).save(tmp_path / "other")
    with pytest.raises(ModelFileError, match="Autoencoder, not a Codec"):
        Codec.load(tmp_path / "other")


def test_what_it_tells_of_itself():
    X = np.where(RNG.random((4000, 6)) < 0.97, 0, RNG.integers(0, 9, (4000, 6)))
    with pytest.warns(NotBetterThanBaselineWarning, match=r"bits per value on 16 held-out rows, and") as caught:
        few = Codec(max_seconds=1, random_state=0).fit(X[:200])
    assert few.rows_to_pay_ is None
    assert len(caught) == 1
    codec = fitted(X)
    assert codec.n_held_out_ == 400
    assert codec.raw_bits_per_value_ == 64
    assert {"zstd -19", "xz -9e", "brotli -11", "bz2 -9", "Parquet zstd"} == set(codec.peers_)
    assert 0 < codec.peers_["xz -9e"] < 3
    best = min(bits for bits in codec.peers_.values() if bits)
    if codec.rows_to_pay_ is not None:
        won = (best - codec.bits_per_value_) * 6 * codec.rows_to_pay_ / 8
        assert codec.model_bytes_ <= won < codec.model_bytes_ + best * 6


def test_peers_of_pictures_lose_nothing():
    images = RNG.integers(0, 3, (50, 9, 7, 3)).astype(np.uint8)
    sizes = evaluation.on_pictures(images)
    assert set(sizes) == {"zstd -19", "xz -9e", "brotli -11", "bz2 -9", "WebP", "JPEG XL"}
    board = next(iter(evaluation._mosaics(images)))
    assert board.shape[2] == 3
    across = board.shape[1] // 7
    tiles = board.reshape(-1, 9, across, 7, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 9, 7, 3)
    assert np.array_equal(tiles[:50], images)
    assert sizes["WebP"] is None or sizes["WebP"] < images.nbytes / 3


def test_the_code_alone():
    latent = RNG.normal(size=(1200, 2))
    X = (latent @ RNG.normal(size=(2, 12)) + 0.05 * RNG.normal(size=(1200, 12))).astype(np.float32)
    codec = fitted(X, code_only=True, n_components=2, max_seconds=6)
    data = codec.compress(X)
    found = codec.decompress(data)
    assert found.dtype == X.dtype
    assert found.shape == X.shape
    curve = codec.rate_distortion_
    chosen = next(point for point in curve if point["chosen"])
    finest = curve[0]["mse"]
    assert chosen["mse"] <= 1.06 * finest
    assert chosen["bits_per_row"] < curve[0]["bits_per_row"]
    assert abs(np.mean((found - X) ** 2) / chosen["mse"] - 1) < 0.25
    assert np.mean((found - X) ** 2) < 0.02 * X.var()
    assert len(data) < 0.1 * X.nbytes
    rows = codec.decompress(data, rows=slice(300, 310))
    assert np.allclose(rows, found[300:310], atol=1e-4)


def test_the_code_alone_survives_a_file(tmp_path):
    X = (BASE.repeat(3, axis=1) * 20).astype(np.uint8)
    codec = fitted(X, code_only=True, max_seconds=3)
    codec.save(tmp_path / "codec")
    again = Codec.load(tmp_path / "codec")
    assert again.fingerprint_ == codec.fingerprint_
    assert_same(again.decompress(codec.compress(X)), codec.decompress(codec.compress(X)))
    with pytest.raises(DataError, match="fitted to 9 columns"):
        again.compress(X[:, :4])
    with pytest.raises(DataError, match="arrays of numbers"):
        fitted({"a": BASE[:, 0]}, code_only=True)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1000, 5), "<f8"), ((1000, 4, 3), ">i2"), ((1000,), "?"), ((0, 5), "u1"), ((1000, 4, 3), "u1")],
)
def test_files_of_arrays_and_back(shape, dtype, tmp_path):
    X = RNG.integers(0, 2, shape).astype(dtype)
    np.save(tmp_path / "in.npy", X)
    codec = fitted(tmp_path / "in.npy" if len(X) else np.zeros((9, 5), dtype))
    size = codec.compress_file(tmp_path / "in.npy", tmp_path / "out.nrw")
    assert size == (tmp_path / "out.nrw").stat().st_size
    assert (tmp_path / "out.nrw").read_bytes() == codec.compress(X)
    codec.decompress_file(tmp_path / "out.nrw", tmp_path / "back.npy")
    assert_same(np.load(tmp_path / "back.npy"), X)
    assert codec.verify(tmp_path / "out.nrw")["shape"] == X.shape
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back.npy", "in.npy", "out.nrw"]


def test_files_of_text_and_pictures(tmp_path):
    images = (RNG.integers(0, 3, (60, 5, 4)) * 9).astype(np.uint8)
    (tmp_path / "x-ubyte").write_bytes(b"\0\0\x08\x03" + np.array(images.shape, ">u4").tobytes() + images.tobytes())
    codec = fitted(tmp_path / "x-ubyte")
    assert codec.image_shape_ == (5, 4)
    codec.compress_file(tmp_path / "x-ubyte", tmp_path / "x.nrw")
    assert_same(codec.decompress(tmp_path / "x.nrw"), images)

    numbers = np.round(RNG.normal(size=(900, 3)), 2)
    tables.write(tmp_path / "n.csv", numbers, columns=["a", "b", "c"])
    codec = fitted(tmp_path / "n.csv")
    codec.compress_file(tmp_path / "n.csv", tmp_path / "n.nrw")
    assert describe(tmp_path / "n.nrw")["columns"] == ["a", "b", "c"]
    codec.decompress_file(tmp_path / "n.nrw", tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text() == (tmp_path / "n.csv").read_text()

    pytest.importorskip("pandas")
    (tmp_path / "t.csv").write_text("name,x\n" + "".join(f"{'ab'[k % 2]},{k % 5}\n" for k in range(300)))
    codec = fitted(tmp_path / "t.csv")
    codec.compress_file(tmp_path / "t.csv", tmp_path / "t.nrw")
    codec.decompress_file(tmp_path / "t.nrw", tmp_path / "u.csv")
    assert (tmp_path / "u.csv").read_text() == (tmp_path / "t.csv").read_text()
    codec.decompress_file(tmp_path / "t.nrw", tmp_path / "u.parquet")
    assert tables.read_named(tmp_path / "u.parquet")["name"].tolist() == ["a", "b"] * 150


def test_a_file_that_cannot_be_restored_leaves_nothing(tmp_path):
    codec = fitted(BASE)
    data = bytearray(codec.compress(BASE))
    data[len(data) // 2] ^= 1
    (tmp_path / "x.nrw").write_bytes(data)
    with pytest.raises(CodecFileError, match=r"of .*x\.nrw is damaged"):
        codec.decompress_file(tmp_path / "x.nrw", tmp_path / "x.npy")
    with pytest.raises(DataError, match="no file"):
        codec.decompress(tmp_path / "y.nrw")
    assert [path.name for path in tmp_path.iterdir()] == ["x.nrw"]


def test_memory_is_bounded_by_the_block(tmp_path):
    n = 800_000
    array = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.int64, (n, 10))
    array[:] = (np.arange(n) % 50)[:, None]
    del array
    codec = fitted(np.tile(np.arange(50)[:, None], (20, 10)), n_jobs=1)
    codec._engine.rows_per_block = 10_000
    tracemalloc.start()
    codec.compress_file(tmp_path / "big.npy", tmp_path / "big.nrw")
    codec.decompress_file(tmp_path / "big.nrw", tmp_path / "back.npy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A few blocks and pieces, and what LZMA needs; the file would be 64 MB.
    assert peak < 50e6
    before, after = (np.load(tmp_path / name, mmap_mode="r") for name in ("big.npy", "back.npy"))
    assert np.array_equal(after[::1000], before[::1000])
