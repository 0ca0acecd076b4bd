"""Fits that must be refused by one sentence, or go on from where they are; and what a failed one leaves behind."""

from __future__ import annotations

import contextlib
import pickle

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

import narrows
from narrows import Autoencoder, DataError, VariationalAutoencoder

pytestmark = [
    pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning"),
    pytest.mark.filterwarnings("ignore::narrows.PosteriorCollapseWarning"),
]
QUICK = {"max_epochs": 2, "random_state": 0}
each = pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder])


@pytest.fixture(scope="module")
def X(curved: np.ndarray) -> np.ndarray:
    return curved[:200, :6]


@each
@pytest.mark.parametrize("value", [1e20, 1e200, -1e300])
def test_an_enormous_cell_is_refused_by_column_and_row(kind, X: np.ndarray, value: float) -> None:
    for row in (3, 199):
        broken = X.copy()
        broken[row, 2] = value
        for fit in (kind(2, **QUICK).fit, kind(2, **QUICK).partial_fit):
            with pytest.raises(DataError, match=rf"column 2 .* row {row}\b"):
                fit(broken)
    with pytest.raises(DataError, match=r"column 0 .* row 0\b"):
        kind(2, **QUICK).fit(X * 1e100)


@each
def test_no_result_is_infinite(kind, X: np.ndarray) -> None:
    model = kind(2, **QUICK).fit(X)
    for value in (1e15, 1e20, 1e38, 1e200):
        broken = X[:70].copy()
        broken[66, 1] = value
        for method in (model.transform, model.reconstruct, model.score_samples, model.reconstruction_error):
            with contextlib.suppress(DataError):
                assert np.isfinite(method(broken)).all()
        if value > 1e100:
            with pytest.raises(DataError, match="row 66"):
                model.transform(broken)


@each
def test_a_wide_sparse_matrix_is_refused_at_once(kind) -> None:
    with pytest.raises(DataError, match="2,000,000 columns"):
        kind(2).fit(csr_array(([1.0, 2.0], ([0, 3], [5, 1_999_999])), shape=(100, 2_000_000)))


@each
def test_numpy_numbers_as_options(kind, X: np.ndarray, tmp_path) -> None:
    options = {
        "max_epochs": np.int32(2),
        "batch_size": np.int16(32),
        "learning_rate": np.float32(1e-3),
        "validation_fraction": np.float64(0.1),
        "early_stopping": np.bool_(True),
        "network": narrows.networks.Dense((np.int64(8),)),
        "random_state": np.int64(1),
    }
    model = kind(np.int64(2), **options).fit(X)
    model.save(tmp_path / "model.narrows")
    assert narrows.load(tmp_path / "model.narrows").early_stopping is True


@each
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_fit_that_fails_changes_nothing(kind, X: np.ndarray, method: str) -> None:
    def stop(record: dict) -> None:
        raise RuntimeError

    model = kind(2, **QUICK).fit(X)
    codes, before = model.transform(X), pickle.dumps(model)
    broken = np.column_stack([X, X]) if method == "fit" else X.copy()
    broken[5, 1] = 1e200
    model.set_params(callbacks=[stop] if method == "fit" else [])
    for bad in (broken, np.column_stack([X, X]), np.array([["a", "b"]])):
        with pytest.raises((RuntimeError, ValueError)):
            getattr(model, method)(bad)
        np.testing.assert_array_equal(model.transform(X), codes)
    assert pickle.dumps(model.set_params(callbacks=())) == before


def test_a_diverging_portion_changes_nothing(X: np.ndarray) -> None:
    model = Autoencoder(2, learning_rate=1e-3, random_state=0).partial_fit(X)
    codes = model.transform(X)
    with pytest.raises(narrows.TrainingDivergedError):
        model.partial_fit(X * 1e19)
    np.testing.assert_array_equal(model.transform(X), codes)
    assert len(model.history_) == 1


@each
def test_partial_fit_goes_on_from_fit_and_load(kind, X: np.ndarray, tmp_path) -> None:
    model = kind(2, max_epochs=60, random_state=0).fit(X)
    error, records, steps = model.reconstruction_error(X).mean(), len(model.history_), model.n_steps_
    model.save(tmp_path / "model.narrows")
    for other in (model, narrows.load(tmp_path / "model.narrows")):
        other.partial_fit(X)
        assert other.reconstruction_error(X).mean() < 1.5 * error
        assert len(other.history_) == records + 1
        assert other.n_steps_ > steps


def test_nothing_is_held_out_without_early_stopping(X: np.ndarray) -> None:
    assert not Autoencoder(2, early_stopping=False, **QUICK).fit(X).baselines_["held_out"]
    assert Autoencoder(2, early_stopping=False, validation_fraction=0.2, **QUICK).fit(X).baselines_["rows"] == 40


def test_a_model_file_carries_no_option_of_the_process(X: np.ndarray, tmp_path) -> None:
    options = {"checkpoint": tmp_path / "state", "callbacks": [print], "verbose": 1}
    Autoencoder(2, **options, **QUICK).fit(X).save(tmp_path / "model.narrows")
    loaded = narrows.load(tmp_path / "model.narrows")
    assert (loaded.checkpoint, loaded.callbacks, loaded.verbose) == (None, (), 0)
    assert not set(options) & set(narrows.describe(tmp_path / "model.narrows")["options"])


def test_batch_normalisation_and_a_last_row(X: np.ndarray) -> None:
    nn = torch.nn
    network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)), nn.Linear(2, 6)
    options = {"network": network, "validation_fraction": 0, **QUICK}
    model = Autoencoder(2, batch_size=32, **options).fit(X[:65])
    assert model.partial_fit(X[:65]).transform(X[:1]).shape == (1, 2)
    with pytest.raises(ValueError, match="two rows"):
        Autoencoder(2, batch_size=1, **options).fit(X)
