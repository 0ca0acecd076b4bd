"""Rows, streams, moments and principal components."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import plain_tables
from narrows import Autoencoder, DataError
from narrows.data import read
from narrows.data.moments import measure, principal_components
from narrows.data.rows import ArrayRows
from narrows.data.streams import StreamRows

pytestmark = [
    pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning"),
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
]


class Pieces:
    """A file in memory: segments of given sizes, the first column the number of the row."""

    def __init__(self, sizes: list[int], n_features: int = 3) -> None:
        rng = np.random.default_rng(0)
        self.array = rng.normal(size=(sum(sizes), n_features))
        self.array[:, 0] = np.arange(len(self.array))
        self.n_features, self.dtype, self.segment_rows = n_features, self.array.dtype, sizes

    def read(self, segment: int, piece_rows: int):
        start = sum(self.segment_rows[:segment])
        end = start + self.segment_rows[segment]
        for first in range(start, end, piece_rows):
            yield self.array[first : min(end, first + piece_rows)]


SIZES = [[1], [5, 0, 3], [1000, 7, 2500], [40] * 50]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("batch", [1, 32, 700])
def test_a_stream_gives_every_row_once(sizes: list[int], batch: int) -> None:
    source = Pieces(sizes)
    rows = StreamRows(source)
    in_order = torch.cat(list(rows.blocks(batch))).numpy()
    np.testing.assert_array_equal(in_order, source.array)
    blocks = [len(block) for block in rows.blocks(batch)]
    assert all(size == batch for size in blocks[:-1])
    shuffled = [b.numpy() for b in rows.batches(batch, seed=1)]
    assert sorted(np.concatenate(shuffled)[:, 0]) == list(range(len(source.array)))
    again = [b.numpy() for b in rows.batches(batch, seed=1, skip=1)]
    assert len(again) == len(shuffled) - 1
    assert all((a == b).all() for a, b in zip(again, shuffled[1:], strict=True))


def test_a_stream_is_shuffled_well_and_differently_each_time() -> None:
    rows = StreamRows(Pieces([3000] * 4))
    rows._buffer_rows = 4000
    orders = [np.concatenate([b.numpy()[:, 0] for b in rows.batches(50, seed=s)]) for s in (1, 2)]
    assert not np.array_equal(*orders)
    assert abs(np.corrcoef(orders[0], np.arange(12000))[0, 1]) < 0.9
    spread = [np.std(orders[0][i : i + 50]) for i in range(0, 12000, 50)]
    assert np.median(spread) > 500


@pytest.mark.parametrize("held", [1, 10, 900])
def test_rows_held_out_of_a_stream_are_never_trained_on(held: int) -> None:
    source = Pieces([1000, 7, 2500])
    train, held_out = StreamRows(source).split(held, seed=0)
    out = set(torch.cat(list(held_out.blocks(64))).numpy()[:, 0])
    seen = set(torch.cat(list(train.batches(64, seed=0))).numpy()[:, 0])
    assert len(out) == held
    assert not out & seen
    assert len(out | seen) == 3507 == train.n_rows + held


def test_an_error_while_reading_reaches_the_caller_and_threads_end() -> None:
    import threading

    class Broken(Pieces):
        def read(self, segment: int, piece_rows: int):
            yield self.array[:10]
            raise DataError("row 11 is broken")

    with pytest.raises(DataError, match="row 11"):
        list(StreamRows(Broken([100])).batches(5, seed=0))
    before = threading.active_count()
    for _ in range(5):
        next(iter(StreamRows(Pieces([5000] * 3)).batches(10, seed=0)))
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "int16", "int64"])
@pytest.mark.parametrize("shape", [(1, 1), (37, 5), (9000, 20), (300, 1100)])
def test_moments_are_those_of_numpy(dtype: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    X = (rng.gamma(2.0, 9.0, shape) + 1).astype(dtype)
    moments = measure(ArrayRows(X))
    exact = X.astype("float64")
    rel = 1e-5
    np.testing.assert_allclose(moments.mean, exact.mean(0), rtol=rel)
    np.testing.assert_allclose(moments.variance, exact.var(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(moments.minimum, exact.min(0))
    np.testing.assert_array_equal(moments.at_minimum, (exact == exact.min(0)).sum(0))
    np.testing.assert_array_equal(moments.at_maximum, (exact == exact.max(0)).sum(0))
    if shape[1] < 1000:
        covariance = np.atleast_2d(np.cov(exact.T, bias=True)) if shape[0] > 1 else np.zeros((1, 1))
        np.testing.assert_allclose(moments.scatter / shape[0], covariance, rtol=1e-3, atol=1e-3)
    half = shape[0] // 2
    if half:
        merged = measure(ArrayRows(X[:half])).merge(measure(ArrayRows(X[half:])))
        np.testing.assert_allclose(merged.scatter, moments.scatter, rtol=1e-4, atol=1e-3 * shape[0])
        np.testing.assert_array_equal(merged.at_minimum, moments.at_minimum)


def test_moments_survive_a_large_offset() -> None:
    X = np.random.default_rng(0).normal(size=(5000, 3)) + 1e9
    np.testing.assert_allclose(measure(ArrayRows(X)).variance, X.var(0), rtol=1e-6)


def test_moments_leave_missing_values_out() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 4)) + 3
    X[rng.random(X.shape) < 0.3] = np.nan
    moments = measure(ArrayRows(X), allow_missing=True)
    np.testing.assert_allclose(moments.mean, np.nanmean(X, 0), rtol=1e-9)
    np.testing.assert_allclose(moments.variance, np.nanvar(X, 0), rtol=1e-9)
    np.testing.assert_array_equal(moments.count, (~np.isnan(X)).sum(0))
    with pytest.raises(DataError, match="column 'b' has missing values"):
        measure(ArrayRows(np.array([[1.0, np.nan]])), names=["a", "b"])
    with pytest.raises(DataError, match="column 0 has an infinite value"):
        measure(ArrayRows(np.array([[np.inf, 1.0]])), allow_missing=True)


@pytest.mark.parametrize(("n", "d", "k"), [(500, 30, 5), (40, 200, 6), (300, 1200, 4), (6, 3, 3)])
def test_components_are_those_of_pca(n: int, d: int, k: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, k + 2)) * 0.5 ** np.arange(k + 2) @ rng.normal(size=(k + 2, d)) + 0.001 * rng.normal(
        size=(n, d)
    )
    rows = ArrayRows(X)
    moments = measure(rows)
    components, deviations = principal_components(rows, moments, torch.ones(d, dtype=torch.float64), k, seed=0)
    pca = PCA(k, svd_solver="full").fit(X)
    np.testing.assert_allclose(deviations, np.sqrt(pca.explained_variance_ * (n - 1) / n), rtol=1e-3)
    np.testing.assert_allclose(np.abs((components.numpy() * pca.components_.T).sum(0)), 1, atol=1e-3)
    np.testing.assert_allclose(components.T @ components, np.eye(k), atol=1e-5)


@pytest.mark.parametrize("suffix", ["npy", "csv", "parquet"])
def test_a_file_trains_as_its_array_does(suffix: str, curved: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{suffix}"
    names = None if suffix == "npy" else [f"c{i}" for i in range(curved.shape[1])]
    plain_tables.write(path, curved, columns=names)
    given = path if names is None else read(path, stream=True)
    streamed = Autoencoder(2, random_state=0, max_epochs=30).fit(given)
    inside = Autoencoder(2, random_state=0, max_epochs=30).fit(curved)
    assert streamed.baselines_["model"] < 0.6 * streamed.baselines_["pca"]
    assert -streamed.score(path) < 1.5 * -inside.score(curved)
    np.testing.assert_allclose(streamed.transform(path), streamed.transform(curved), rtol=1e-6)
    if names:
        assert list(streamed.feature_names_in_) == names


def test_files_with_missing_or_other_columns_are_refused(curved: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    plain_tables.write(path, curved, columns=[f"c{i}" for i in range(10)])
    model = Autoencoder(2, random_state=0, max_epochs=1).fit(path)
    other = tmp_path / "other.csv"
    plain_tables.write(other, curved, columns=[f"d{i}" for i in range(10)])
    with pytest.raises(DataError, match="'c0'"):
        model.transform(other)
    plain_tables.write(other, curved[:, :4], columns=[f"c{i}" for i in range(4)])
    with pytest.raises(DataError, match="'c4'"):
        model.transform(other)
    holes = curved.copy()
    holes[3, 4] = np.nan
    plain_tables.write(path, holes, columns=[f"c{i}" for i in range(10)])
    with pytest.raises(DataError, match="column 'c4' has missing values"):
        Autoencoder(2, missing="error").fit(path)
    assert np.isfinite(Autoencoder(2, max_epochs=1).fit(path).transform(path)).all()
