"""Files that were written once are read for ever: never make these anew, add new ones when the format changes.

They were made by ``python tests/test_codec_forever.py``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from narrows.codec import Codec, describe
from narrows.errors import CodecFileError

FILES = Path(__file__).parent / "files"


def digits() -> np.ndarray:
    return (load_digits().images * 15).astype(np.uint8)


def table() -> np.ndarray:
    days = np.arange(3000)
    noise = np.random.RandomState(0).randint(0, 5, 3000)
    return np.stack([days, days % 7, (days % 7 > 4) * 20 + noise, days * 3 + noise], axis=1)


def waves() -> np.ndarray:
    steps = np.random.RandomState(0).randint(-3, 4, (2000, 3)).cumsum(0) / 256
    steps[7, 1], steps[9, 2] = np.nan, np.inf
    return steps


CASES = {
    "pictures": (lambda: digits()[:1000], lambda: digits()[1000:1100], {}),
    "table": (lambda: table()[:2000], lambda: table()[1500:], {}),
    "bounded": (lambda: waves()[1000:], lambda: waves()[:500], {"max_error": 1e-2}),
}


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("name", CASES)
def test_old_files_are_read_and_written_alike(name, threads):
    expected = CASES[name][1]()
    data = (FILES / f"codec-{name}-1.nrw").read_bytes()
    codec = Codec.load(FILES / f"codec-{name}-1.narrows")
    with threadpool_limits(threads):
        found = codec.set_params(n_jobs=threads).decompress(data)
        assert codec.compress(expected) == data
    assert found.dtype == expected.dtype
    if name == "bounded":
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
        kept = np.isfinite(expected)
        assert np.abs(found[kept] - expected[kept]).max() <= 1e-2
        np.testing.assert_array_equal(found[~kept], expected[~kept])
    else:
        np.testing.assert_array_equal(found, expected)


def test_they_say_whose_they_are():
    told = {describe(FILES / f"codec-{name}-1.nrw")["fingerprint"] for name in CASES}
    assert len(told) == len(CASES)
    with pytest.raises(CodecFileError, match=r"codec"):
        Codec.load(FILES / "codec-table-1.narrows").decompress(FILES / "codec-bounded-1.nrw")


if __name__ == "__main__":
    for case in sys.argv[1:]:
        fit, rows, options = CASES[case]
        made = Codec(random_state=0, **options).fit(fit())
        made.save(FILES / f"codec-{case}-1.narrows")
        (FILES / f"codec-{case}-1.nrw").write_bytes(made.compress(rows()))
