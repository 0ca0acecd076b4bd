"""What a bound must leave alone in frames and arrays, and what of a frame comes back bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from narrows import Codec, DataError

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")
RNG = np.random.default_rng(0)
N = 300


def round_trip(X, **options):
    codec = Codec(max_seconds=5, random_state=0, **options).fit(X)
    return codec.decompress(codec.compress(X))


@pytest.mark.parametrize(
    ("max_error", "bounds"),
    [({1: 0.5}, {"b": 0.5}), ({"a": 3.0, "n": 5}, {"a": 3, "n": 5}), (0.1, {"b": 0.1})],
)
def test_only_columns_that_are_meant_are_off(max_error, bounds):
    nullable = pd.array(RNG.integers(0, 50, N), dtype="Int64")
    nullable[RNG.random(N) < 0.8] = pd.NA
    frame = pd.DataFrame({"a": nullable, "b": RNG.normal(size=N), "n": RNG.integers(0, 1000, N)})
    found = round_trip(frame, max_error=max_error)
    assert found.dtypes.equals(frame.dtypes)
    for name, column in frame.items():
        assert (found[name].isna() == column.isna()).all()
        assert (found[name] - column).abs().max() <= bounds.get(name, 0)
        assert name not in bounds or (found[name] != column).any()


@pytest.mark.parametrize("relative", [False, True])
def test_the_index_is_never_off(relative):
    frame = pd.DataFrame({"a": RNG.normal(size=N)}, index=np.sort(RNG.random(N)))
    found = round_trip(frame, max_error=0.01, relative=relative)
    pd.testing.assert_index_equal(found.index, frame.index)


def test_a_nan_that_is_not_missing_stays_one():
    plain, missing = RNG.normal(size=N), RNG.random(N) < 0.3
    plain[::7] = np.nan
    frame = pd.DataFrame({"a": pd.arrays.FloatingArray(plain, missing)})
    found = round_trip(frame)["a"].array
    np.testing.assert_array_equal(found._mask, missing)
    np.testing.assert_array_equal(found._data[~missing], plain[~missing])


@pytest.mark.parametrize("values", [RNG.random(N) < 0.5, np.arange(N).astype("M8[s]"), np.arange(N).astype("m8[D]")])
def test_only_numbers_may_be_off(values):
    with pytest.raises(DataError, match="holds no numbers"):
        Codec({0: 1.0}, max_seconds=5).fit(values[:, None])
    with pytest.raises(DataError, match="holds no numbers"):
        Codec({"a": 1.0}, max_seconds=5).fit(pd.DataFrame({"a": values}))


def test_columns_of_one_name_are_all_bounded():
    frame = pd.DataFrame(RNG.normal(size=(N, 2)), columns=["a", "a"])
    found = round_trip(frame, max_error={"a": 0.5})
    assert np.abs(found.to_numpy() - frame.to_numpy()).max() <= 0.5
    assert (found.to_numpy() != frame.to_numpy()).any(0).all()


def test_a_time_zone_that_has_no_name_is_refused():
    pytest.importorskip("dateutil")
    days = pd.date_range("2026-01-01", periods=40, tz="dateutil/Europe/Berlin")
    with pytest.raises(DataError, match="time zone"):
        Codec(max_seconds=5).fit(pd.DataFrame({"when": days}))
    named = pd.DataFrame({"when": days.tz_convert("Europe/Berlin")})
    pd.testing.assert_frame_equal(round_trip(named), named, check_freq=False)
