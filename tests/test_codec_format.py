"""The container of compressed data: what it refuses, what it names, what it never does."""

from __future__ import annotations

import io
import time
import tracemalloc
import zlib

import numpy as np
import pytest

from narrows.codec import Codec, describe
from narrows.codec.blocks import row_numbers
from narrows.codec.columns import form
from narrows.codec.container import format as fileformat
from narrows.codec.container.cells import cells_from_bytes, cells_to_bytes
from narrows.codec.container.format import END, MAGIC, Cursor, FileReader, FileWriter, Head, pack, varint
from narrows.codec.pictures.engine import PictureEngine
from narrows.codec.serialization import ENGINES
from narrows.errors import CodecFileError, DataError
from plain_models import PlainPictures, PlainTable

pytestmark = pytest.mark.filterwarnings("ignore::narrows.errors.NotBetterThanBaselineWarning")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for place in ("table.engine", "codes"):
        monkeypatch.setattr(f"narrows.codec.{place}.TableModel", PlainTable)
    monkeypatch.setattr(PictureEngine, "fit_pictures", PlainPictures.fit_pictures)
    monkeypatch.setitem(ENGINES, "pictures", PlainPictures)


def table(n=600, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, 6, n), np.arange(n) // 99, rng.integers(-3, 90, n)], axis=1)


@pytest.fixture
def codec(plain):
    return Codec(max_seconds=1, random_state=0, n_jobs=1).fit(table())


def container(blocks, rows=4, description=("x", [1])):
    file = io.BytesIO()
    writer = FileWriter(file, Head(b"12345678", rows, list(description)))
    for data in blocks:
        writer.add(data, rows, zlib.crc32(data))
    writer.finish()
    assert writer.n_bytes == len(file.getvalue())
    return file.getvalue()


def rebuilt(reader, description=..., blocks=None):
    """Write a file anew with other things in it, and all checksums right but those of rows."""
    file, head = io.BytesIO(), reader.head
    description = head.description if description is ... else description
    writer = FileWriter(file, Head(head.fingerprint, head.rows_per_block, description))
    for block in reader.blocks if blocks is None else []:
        writer.add(reader.read(block), block.last - block.first, block.rows_crc)
    for data in blocks or []:
        writer.add(data, head.rows_per_block, 0)
    writer.finish()
    return file.getvalue()


def outcome(codec, data, X, rows=None):
    """Decompress; what comes is the exact data or one clear error."""
    try:
        found = codec.decompress(data, rows)
    except CodecFileError as error:
        assert 20 < len(str(error)) < 400  # noqa: PT017
        return False
    wanted = X if rows is None else X[rows]
    assert found.dtype == wanted.dtype
    assert np.array_equal(found, wanted)
    return True


def test_head_and_blocks_come_back():
    data = container([b"first", b"second", b"x" * 1000])
    reader = FileReader(data)
    assert reader.head == Head(b"12345678", 4, ["x", [1]])
    assert [reader.read(block) for block in reader.blocks] == [b"first", b"second", b"x" * 1000]
    assert [(block.first, block.last) for block in reader.blocks] == [(0, 4), (4, 8), (8, 12)]
    reader.check()
    assert FileReader(io.BytesIO(data)).n_rows == 12


def test_what_stands_around_a_small_block_is_small(codec):
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28)).astype(np.uint8)
    fitted = Codec(max_seconds=1, random_state=0).fit(images)
    assert len(fitted.compress(images[:1])) - 784 <= 90
    assert len(fitted.compress(images[:0])) <= 75


def test_every_flipped_bit_is_found(codec):
    X = table(20)
    data = codec.compress(X)
    assert outcome(codec, data, X)
    for place in range(len(data) * 8):
        spoilt = bytearray(data)
        spoilt[place // 8] ^= 1 << place % 8
        assert not outcome(codec, bytes(spoilt), X), place


def test_every_truncation_and_more_bytes_are_found(codec):
    X = table(600)
    data = codec.compress(X)
    for size in range(len(data)):
        assert not outcome(codec, data[:size], X), size
    for more in (b"\0", b"x" * 12, data, END):
        assert not outcome(codec, data + more, X)
        assert not outcome(codec, more + data, X) or more + data == data


def mutations(data, count, seed):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        spoilt = bytearray(data)
        for _ in range(rng.integers(1, 6)):
            if not spoilt:
                break
            place, size = int(rng.integers(len(spoilt))), int(rng.integers(1, 40))
            how = rng.integers(5)
            if how == 0:
                spoilt[place] = int(rng.integers(256))
            elif how == 1:
                del spoilt[place : place + size]
            elif how == 2:
                spoilt[place:place] = rng.bytes(size)
            elif how == 3:
                spoilt[place : place + size] = bytes([rng.choice([0, 255])]) * size
            else:
                other = int(rng.integers(len(spoilt)))
                spoilt[place : place + size] = spoilt[other : other + size]
        yield bytes(spoilt)


def test_mutations_give_an_error_or_the_data_quickly_and_in_bounded_memory(codec):
    X = table(600)
    data = codec.compress(X)
    tracemalloc.start()
    assert outcome(codec, data, X)
    honest = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    slowest = 0.0
    for spoilt in mutations(data, 700, seed=1):
        start = time.perf_counter()
        outcome(codec, spoilt, X)
        slowest = max(slowest, time.perf_counter() - start)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert slowest < 2.0
    assert peak < 2 * honest + 200_000


def sealed(data):
    """Give spoilt data its checksums anew, as one would who means harm: of head, table and the whole."""
    data = bytearray(data)
    try:
        cursor = Cursor(bytes(data[5:]))
        size = cursor.number(1 << 40)
        end = 5 + cursor.place + size
        data[end : end + 4] = zlib.crc32(data[:end]).to_bytes(4, "little")
        length = int.from_bytes(data[-12:-8], "little")
        first = len(data) - 12 - length
        data[-16:-12] = zlib.crc32(data[first:-16]).to_bytes(4, "little")
    except (CodecFileError, IndexError):
        pass
    data[-8:-4] = zlib.crc32(data[:-8]).to_bytes(4, "little")
    return bytes(data)


def test_mutations_with_checksums_put_right_are_no_danger(codec):
    X = table(600)
    data = codec.compress(X)
    assert sealed(data) == data
    rng = np.random.default_rng(2)
    tracemalloc.start()
    for _ in range(400):
        spoilt = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            spoilt[place if rng.random() < 0.3 else place % 60 if rng.random() < 0.5 else -1 - place % 70] = (
                rng.integers(256)
            )
        start = time.perf_counter()
        try:
            found = codec.decompress(sealed(spoilt))
        except CodecFileError:
            pass
        else:
            # Rows are tied to the head: another type or shape in it is found.
            assert found.size == 0 or found.dtype == X.dtype
            assert found.size <= X.size
        assert time.perf_counter() - start < 2.0
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_damaged_block_loses_only_itself(codec):
    X = table(1000)
    data = bytearray(codec.compress(X))
    block = FileReader(bytes(data)).blocks[1]
    data[block.offset + block.size // 2] ^= 0x10
    data = bytes(data)
    with pytest.raises(CodecFileError, match="256 to 511") as caught:
        codec.decompress(data)
    assert caught.value.lost == [(256, 512)]
    assert np.array_equal(codec.decompress(data, rows=slice(512, None)), X[512:])
    assert np.array_equal(codec.decompress(data, rows=[0, 999, 255]), X[[0, 999, 255]])
    kept = np.delete(np.arange(1000), np.s_[256:512])
    for rows, left in ((None, kept), (slice(None, None, -1), kept[::-1]), ([900, 300, 2], [900, 2])):
        with pytest.warns(UserWarning, match="256 to 511"):
            assert np.array_equal(codec.decompress(data, rows, on_damage="skip"), X[left])
    with pytest.raises(CodecFileError, match="256 to 511"):
        codec.verify(data)


@pytest.mark.parametrize("error", [AssertionError("no more words"), IndexError("out"), MemoryError(), None])
def test_whatever_a_decoder_does_is_one_error(codec, monkeypatch, error):
    honest, data = PlainTable.decode, codec.compress(table(300))

    def wrong(self, data, n):
        if error is not None:
            raise error
        return honest(self, data, n) + (np.arange(n) == 7)[:, None]

    monkeypatch.setattr(PlainTable, "decode", wrong)
    with pytest.raises(CodecFileError) as caught:
        codec.decompress(data)
    assert caught.value.lost == [(0, 256), (256, 300)]


def test_another_codec_is_refused_by_both_names(codec):
    other = Codec(max_seconds=1, random_state=0).fit(table(seed=1))
    data = codec.compress(table(5))
    with pytest.raises(CodecFileError, match=f"{codec.fingerprint_}.*{other.fingerprint_}"):
        other.decompress(data)


FOREIGN = [b"", b"\x89", MAGIC, b"PK\x03\x04" + b"x" * 100, b"\x89PNG" + b"x" * 200]
FOREIGN += [MAGIC + start + b"x" * 100 for start in (b"\x02", b"\x01\x07", b"\x01\x00" + b"\xff" * 100)]


@pytest.mark.parametrize("data", FOREIGN)
def test_foreign_newer_and_cut_files(codec, data):
    for read in (codec.decompress, describe):
        with pytest.raises(CodecFileError):
            read(data)


THREE = [["a", "numpy", "<i8"]] * 3
HEADS = [None, 5, [], ["|u1"], ["|u1", [2**62]], ["|u1", [-4]], ["nonsense", [3]], ["<V8", [3]], ["<U99999999", [3]]]
HEADS += [["<i8", [2**30]], ["<i8", [3], {"names": ["a"]}], ["<i8", [3], {"picture": [3, 1]}], {}]
HEADS += [["|u1", [784], {"picture": [29, 28]}], {"c": [["a", "numpy", "<i8"]] * 100_000}, {"c": [], "x": [], "i": []}]
HEADS += [{"c": [["a", "evil", "x"]], "x": ["object", None], "i": ["range", 0, 1, None]}]
HEADS += [{"c": THREE, "x": ["object", None], "i": ["range", "0", [], None]}]
HEADS += [{"c": THREE, "x": ["nonsense", None], "i": ["range", 0, 1, None]}]


@pytest.mark.parametrize("description", HEADS)
def test_hostile_heads(codec, description):
    with pytest.raises(CodecFileError):
        codec.decompress(rebuilt(FileReader(codec.compress(table(300))), description))


def test_deep_json_and_claims_without_blocks():
    deep = b"[" * 100_000
    head = b"12345678" + varint(4) + pack(deep)
    first = MAGIC + b"\x01" + varint(len(head)) + head
    with pytest.raises(CodecFileError, match="head cannot be read"):
        FileReader(first + zlib.crc32(first).to_bytes(4, "little") + b"x" * 50)
    data = container([])
    start = len(data) - 12 - 5
    claims = varint(1 << 50)
    claims += zlib.crc32(claims).to_bytes(4, "little")
    body = data[:start] + claims + len(claims).to_bytes(4, "little")
    with pytest.raises(CodecFileError, match="table of blocks cannot be read"):
        FileReader(body + zlib.crc32(body).to_bytes(4, "little") + END)


def test_packed_parts_do_not_burst():
    bomb = pack(bytes(50_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(CodecFileError, match="is the most there can be"):
        Cursor(bomb).unpack(1_000_000)
    lying = bytes([1]) + varint(10) + varint(len(packed := zlib.compress(bytes(10_000_000)))) + packed
    with pytest.raises(CodecFileError, match="not the length"):
        Cursor(lying).unpack(1_000_000)


@pytest.mark.parametrize(
    ("size", "kind"), [(0, "text"), (1, "noise"), (17, "zeros"), (200_000, "noise"), (200_000, "text")]
)
def test_pack_brings_back_and_costs_little(size, kind):
    rng = np.random.default_rng(size)
    data = {
        "zeros": bytes(size),
        "noise": rng.bytes(size),
        "text": b"to be or not "[: size % 13] + b"to be " * (size // 6),
    }
    packed = pack(data[kind])
    assert Cursor(packed).unpack(1 << 20) == data[kind]
    assert len(packed) <= len(data[kind]) + 10


def test_cells_of_all_kinds_come_back():
    cells = ["", "a\0b", "ü🙂", "\ud800", None, 1.5, float("inf"), 7, -(10**60), 0, -1, 255, 256, True, False, b"\0x"]
    cells += [np.int16(-5), np.str_(""), np.str_("a\0"), np.bytes_(b""), np.bytes_(b"b\0")]
    found = cells_from_bytes(cells_to_bytes(cells), len(cells))
    assert found == cells
    assert [type(cell) for cell in found] == [type(cell) for cell in cells]
    assert [cell.encode() for cell in found if type(cell) is np.str_] == [b"", b"a\0"]
    assert cells_from_bytes(cells_to_bytes([]), 0) == []
    long = ["x" * 1000, "y"]
    assert cells_from_bytes(cells_to_bytes(long), 2) == long
    with pytest.raises(DataError, match="type set"):
        cells_to_bytes([set()])
    for data in (b"", b"\x09", b"\x01\x05ab", cells_to_bytes(cells)[:-1]):
        with pytest.raises(CodecFileError):
            cells_from_bytes(data, 2)


def test_blocks_of_nothing_are_refused_and_damaged_ones_are_not_all_tried(codec, monkeypatch):
    reader = FileReader(codec.compress(table(600)))
    with pytest.raises(CodecFileError, match="block 0 has no bytes"):
        codec.decompress(rebuilt(reader, blocks=[b""] * 400))
    tried = []
    honest = PlainTable.decode
    monkeypatch.setattr(PlainTable, "decode", lambda self, data, n: tried.append(n) or honest(self, data, n))
    hostile = rebuilt(reader, blocks=[b"\2\4\0\0\0\0"] * 400)
    with pytest.raises(CodecFileError):
        codec.decompress(hostile)
    assert len(tried) == 3
    with pytest.raises(CodecFileError) as caught:
        codec.verify(hostile)
    assert len(caught.value.lost) == 400


def test_a_code_without_bytes_is_kept(codec, monkeypatch):
    monkeypatch.setattr(codec._engine, "encode", lambda parts, schema: (b"", 7))
    monkeypatch.setattr(codec._engine, "decode", lambda data, n, schema: ([np.zeros(n, int)] * 3, 7 + len(data)))
    assert codec.decompress(codec.compress(table(600))).shape == (600, 3)


def test_evenly_spaced_rows_are_those_of_numpy(codec):
    X = table(1000)
    data = codec.compress(X)
    for start, stop in ((None, 256), (1, None), (255, 257), (256, None), (-1, -300), (2000, 256)):
        for step in (None, -1, 3, -257):
            assert np.array_equal(codec.decompress(data, slice(start, stop, step)), X[start:stop:step])
    assert isinstance(row_numbers(slice(None, None, -1), 1 << 50), range)


def headed(text, fingerprint=b"12345678"):
    packed = zlib.compress(text, 9)
    content = fingerprint + varint(256) + b"\x01" + varint(len(text)) + varint(len(packed)) + packed
    first = MAGIC + b"\x01" + varint(len(content)) + content
    return sealed(first + bytes(4) + varint(0) + bytes(4) + (5).to_bytes(4, "little") + bytes(4) + END)


def test_heads_do_not_burst(codec, monkeypatch):
    monkeypatch.setattr(fileformat.json, "loads", lambda text: pytest.fail("parsed"))
    bomb = headed(b"[" + b"[]," * 2_000_000 + b"0]", bytes.fromhex(codec.fingerprint_))
    with pytest.raises(CodecFileError, match="far longer than it is"):
        codec.decompress(bomb)
    with pytest.raises(CodecFileError, match="is the most there can be"):
        codec.decompress(headed(b"[" + b"[]," * 20_000_000 + b"0]", bytes.fromhex(codec.fingerprint_)))
    with pytest.raises(CodecFileError, match="was made with the codec 3132333435363738"):
        codec.decompress(headed(b"[]"))


def test_many_long_names_are_kept_and_too_many_are_refused():
    names = [f"a column with a rather long name, number {number}" for number in range(40_000)]
    for kept in (names, ["x" * 40] * 60_000):
        assert FileReader(container([], description=["<i8", kept])).head.description[1] == kept
    with pytest.raises(DataError, match="names of the columns"):
        container([], description=["<i8", ["x" * 1000] * 9000])


def test_exceptions_of_numbers_do_not_burst(codec):
    X = table(200)
    reader = FileReader(codec.compress(X))
    made = codec._engine.model.encode(np.zeros((200, 3), dtype=np.int64))
    block = b"\2" + varint(len(made)) + made + varint(0) + varint(1) + pack(bytes(1 << 20))
    with pytest.raises(CodecFileError, match="is the most there can be"):
        codec.decompress(rebuilt(reader, blocks=[block]))


@pytest.mark.parametrize("n_columns", [1, 3])
def test_more_text_than_a_block_unpacks_is_kept_as_it_is(monkeypatch, n_columns):
    monkeypatch.setattr(form, "_MOST_CELLS", 3_000)
    few = np.array(["a", "b"], dtype=object)[np.random.default_rng(0).integers(0, 2, (300, n_columns))]
    codec = Codec(max_seconds=1, random_state=0).fit(few)
    X = np.array([f"{number} " * 10 for number in range(250 * n_columns)], dtype=object).reshape(-1, n_columns)
    found = codec.decompress(codec.compress(X))
    assert np.array_equal(found, X)
    X[10:] = "a"
    assert np.array_equal(codec.decompress(codec.compress(X)), X)
    fitted = Codec(max_seconds=1, random_state=0).fit(X)
    assert np.array_equal(fitted.decompress(fitted.compress(X)), X)


@pytest.mark.parametrize("description", [["<u8", [3]], [">i8", [3]], ["<i8", [3, 1]], ["<M8[s]", [3]]])
def test_rows_are_tied_to_what_the_head_says(codec, description):
    X = table(200)
    block, crc = codec._engine.encode(list(X.T), [(number, X.dtype) for number in range(3)])
    files = []
    for said in (["<i8", [3]], description):
        writer = FileWriter(file := io.BytesIO(), Head(bytes.fromhex(codec.fingerprint_), 256, said))
        writer.add(block, 200, crc)
        writer.finish()
        files.append(file.getvalue())
    assert np.array_equal(codec.decompress(files[0]), X)
    # The table of the first under the head of the second, as one who changes the head alone would leave it.
    place = FileReader(files[1]).blocks[0].offset
    spoilt = sealed(files[1][:place] + files[0][FileReader(files[0]).blocks[0].offset :])
    assert describe(spoilt)["n_rows"] == 200
    with pytest.raises(CodecFileError, match=r"does not decode to the rows|fitted to"):
        codec.decompress(spoilt)
