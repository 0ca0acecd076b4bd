"""Laws that hold for every kind of codec."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from sklearn.base import clone

import narrows
from conftest import codecs
from narrows import DataError

pytestmark = pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")
ALL = codecs()
KINDS = ["lossless", "bounded", "relative", "code", "pictures"]


def rows_for(codec: narrows.Codec, curved: np.ndarray) -> np.ndarray:
    rows = curved[:300]
    if codec.image_shape is not None:
        return ((rows - rows.min()) / np.ptp(rows) * 255).astype(np.uint8)
    return np.round(rows, 2) if codec.max_error is None and not codec.code_only else rows


@pytest.fixture(scope="module", params=range(len(ALL)), ids=KINDS)
def fitted(request, curved):
    codec = ALL[request.param]
    rows = rows_for(codec, curved)
    return clone(codec).fit(rows), rows


def held(codec: narrows.Codec, rows: np.ndarray, found: np.ndarray) -> None:
    assert found.dtype == rows.dtype
    assert found.shape == rows.shape
    if codec.code_only:
        return
    if codec.max_error is None:
        np.testing.assert_array_equal(found, rows)
    else:
        assert (np.abs(found - rows) <= codec.max_error * (np.abs(rows) if codec.relative else 1)).all()


@pytest.mark.parametrize("n", [0, 1, 2, 7, 300])
def test_any_number_of_rows_comes_back(fitted, n):
    codec, rows = fitted
    held(codec, rows[:n], codec.decompress(codec.compress(rows[:n])))


def test_bytes_are_the_same_from_call_to_call_and_after_loading(fitted, tmp_path):
    codec, rows = fitted
    mine = rows.copy()
    mine.flags.writeable = False
    data = codec.compress(mine)
    np.testing.assert_array_equal(mine, rows)
    assert codec.compress(rows) == data
    codec.save(tmp_path / "codec")
    again = narrows.load(tmp_path / "codec")
    assert again.compress(rows) == data
    np.testing.assert_array_equal(again.decompress(data), codec.decompress(data))
    assert again.fingerprint_ == codec.fingerprint_
    assert again.peers_ == codec.peers_


def test_rows_alone_are_rows_of_all(fitted):
    codec, rows = fitted
    data = codec.compress(rows)
    whole = codec.decompress(data)
    for wanted in (slice(3, 9), [7, 2, 2], -1, slice(None, None, -50)):
        chosen = [wanted] if isinstance(wanted, int) else wanted
        np.testing.assert_array_equal(codec.decompress(data, rows=wanted), whole[chosen])


def test_another_number_of_columns_is_refused(fitted):
    codec, rows = fitted
    with pytest.raises(DataError):
        codec.compress(rows[:, :-1])


def test_refits_repeat_and_leave_global_generators_alone(fitted):
    codec, rows = fitted
    before = (random.getstate(), str(np.random.get_state()), torch.get_rng_state())  # noqa: NPY002
    assert copy.deepcopy(codec).fit(rows).compress(rows) == codec.compress(rows)
    assert random.getstate() == before[0]
    assert str(np.random.get_state()) == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])
