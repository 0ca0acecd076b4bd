"""The model of pictures: exact, as small as it foretells, and the same on every number of threads."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from narrows.codec.container.entropy import Reader, Writer
from narrows.codec.engine import FitOptions
from narrows.codec.pictures import coder as exact
from narrows.codec.pictures.coder import PictureCoder
from narrows.codec.pictures.engine import PictureEngine
from narrows.codec.pictures.network import PictureNet, PictureObjective
from narrows.codec.pictures.shape import LEVELS, Shape, Tiling, windows

DIGITS = (load_digits().images * 15).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> PictureEngine:
    return PictureEngine.fit_pictures(DIGITS[:1500], FitOptions(60, 0, print))


def smooth(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    steps = np.random.default_rng(seed).integers(-3, 4, shape)
    return (np.cumsum(np.cumsum(steps, 1), 2) // 2 % 256).astype(np.uint8)


@pytest.mark.parametrize("shape", [(40, 6, 7), (40, 6, 7, 3), (12, 5, 4, 2), (3, 60, 70), (2, 49, 20, 3), (9, 1, 1)])
def test_every_shape_comes_back(shape):
    pictures = smooth(shape)
    fitted = PictureEngine.fit_pictures(pictures, FitOptions(2, 0, print))
    again = PictureEngine.from_state(*fitted.to_state())
    noise = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    for rows in (pictures, pictures[:1], pictures[:0], noise, np.full(shape, 255, np.uint8), np.zeros(shape, np.uint8)):
        found = again.decode_pictures(fitted.encode_pictures(rows), len(rows))
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, rows)


def test_smaller_than_a_general_compressor(model):
    import lzma

    rows = DIGITS[1500:]
    packed = min(len(lzma.compress(rows.tobytes(), preset=9)), len(lzma.compress(np.moveaxis(rows, 0, -1).tobytes())))
    assert len(model.encode_pictures(rows)) < 0.85 * packed


@pytest.mark.parametrize("differences", [False, True])
def test_the_file_is_as_large_as_training_foretold(differences):
    from narrows.codec.pictures.engine import whole_numbers

    torch.manual_seed(0)
    shape = Shape(8, 8, 1)
    net = PictureNet(shape, hidden=12, row=8, place=3, palette=5, differences=differences)
    with torch.no_grad():
        foretold = float(PictureObjective(net)(torch.from_numpy(DIGITS), None).total.sum()) / math.log(2) / 8
    walk = PictureCoder(shape, whole_numbers(net), differences=differences)
    coder = Writer()
    walk.code(coder, DIGITS[..., None], len(DIGITS))
    assert len(coder.finish()) == pytest.approx(foretold, rel=0.002)


def test_threads_and_precision_change_no_byte(model, monkeypatch):
    rows = DIGITS[1500:]
    with threadpool_limits(1):
        one = model.encode_pictures(rows)
    with threadpool_limits(4):
        assert model.encode_pictures(rows) == one

    def reversed_sums(self, columns):
        """Sums added up in reverse, as another library for matrices might do."""
        return self.weight[:, ::-1] @ columns.astype(self.dtype)[::-1]

    with monkeypatch.context() as patched:
        patched.setattr(exact.Layer, "__call__", reversed_sums)
        assert model.encode_pictures(rows) == one
    monkeypatch.setattr(exact, "_BOUND", {np.dtype(np.float32): 0, np.dtype(np.float64): 2**53})
    wide = PictureEngine.from_state(*model.to_state())
    assert wide.coder.second.dtype == np.float64
    assert wide.encode_pictures(rows) == one
    np.testing.assert_array_equal(wide.decode_pictures(one, len(rows)), rows)


def test_sums_stay_within_what_a_float_holds(model):
    for layer in vars(model.coder).values():
        if isinstance(layer, exact.Layer):
            assert layer.reach < (2**24 if layer.dtype == np.float32 else 2**53)
    with pytest.raises(ValueError, match="too large"):
        exact.Layer(np.full((1, 2), 2**46), None, 255)


def test_tables_are_their_closed_forms():
    made = exact.exponentials(18)
    np.testing.assert_allclose(made, np.maximum(np.rint(2.0**18 * np.exp(-np.arange(len(made)) / 64)), 1), atol=1)
    assert made[-1] == 1
    np.testing.assert_array_equal(LEVELS, np.floor(16 * np.log2(1.0 + np.arange(len(LEVELS))) + 1e-9))


def test_neighbours_are_decoded_ones():
    for channels in (1, 3, 4):
        shape = Shape(9, 9, channels)
        for channel in range(channels):
            looks = windows(shape, channel)
            assert len(set(looks)) == len(looks)
            assert all(up > 0 or right < 0 for up, right in looks)
            assert all(abs(right) <= shape.margin for _, right in looks)


@pytest.mark.parametrize("picture", [(28, 28), (48, 5), (49, 5, 3), (100, 31)])
def test_tiles_join_to_what_was_cut(picture):
    tiling = Tiling.of(picture)
    pictures = np.random.default_rng(0).integers(0, 256, (3, *picture), dtype=np.uint8)
    tiles = tiling.cut(pictures)
    assert tiles.shape == (3 * tiling.count, tiling.tile.height, tiling.tile.width, tiling.tile.channels)
    np.testing.assert_array_equal(tiling.join(tiles, 3), pictures)


def test_rubbish_ends_quickly(model):
    data = bytearray(model.encode_pictures(DIGITS[:50]))
    rng = np.random.default_rng(0)
    for _ in range(20):
        spoilt = bytearray(data)
        spoilt[rng.integers(len(spoilt))] ^= 1 << rng.integers(8)
        try:
            found = model.decode_pictures(bytes(spoilt), 50)
        except AssertionError:  # the coder's own word for a stream that no symbols make
            continue
        assert found.shape == (50, 8, 8)


def test_fit_repeats_itself():
    first, second = (PictureEngine.fit_pictures(DIGITS[:100], FitOptions(600, 3, print)) for _ in range(2))
    assert first.differences == second.differences
    for name, tensor in first.tensors.items():
        np.testing.assert_array_equal(tensor, second.tensors[name])
    state = torch.get_rng_state()
    PictureEngine.fit_pictures(DIGITS[:20], FitOptions(1, 0, print))
    assert torch.equal(state, torch.get_rng_state())


def test_coder_gives_back_what_it_took():
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 4000, (500, 32)).astype(np.float32)
    symbols, sizes = rng.integers(0, 32, 500), rng.integers(1, 2**24, 500)
    even = (rng.random(500) * sizes).astype(np.int64)
    writer = Writer()
    writer.weighted(weights, symbols)
    writer.uniform(sizes, even)
    reader = Reader(writer.finish())
    np.testing.assert_array_equal(reader.weighted(weights), symbols)
    np.testing.assert_array_equal(reader.uniform(sizes), even)


def test_an_interrupted_fit_leaves_a_usable_model_and_says_so():
    told = []

    def stop(record):
        told.append(record)
        if len(told) == 4:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted"):
        fitted = PictureEngine.fit_pictures(DIGITS[:300], FitOptions(600, 0, stop))
    np.testing.assert_array_equal(fitted.decode_pictures(fitted.encode_pictures(DIGITS[:9]), 9), DIGITS[:9])
