"""Laws that hold for every public estimator."""

from __future__ import annotations

import copy
import pickle
import random
import warnings

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, clone

import narrows
from conftest import estimators
from narrows import NotBetterThanBaselineWarning, PosteriorCollapseWarning

pytestmark = [
    pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning"),
    pytest.mark.filterwarnings("ignore::narrows.PosteriorCollapseWarning"),
]
ALL = estimators()
each = pytest.mark.parametrize("estimator", ALL, ids=[f"{type(e).__name__}-{i}" for i, e in enumerate(ALL)])


def test_the_list_is_complete() -> None:
    public = {name for name in narrows.__all__ if isinstance(getattr(narrows, name), type)}
    public = {name for name in public if issubclass(getattr(narrows, name), BaseEstimator)}
    assert public == {type(e).__name__ for e in ALL}


@pytest.fixture(scope="module")
def fitted(curved: np.ndarray) -> list:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotBetterThanBaselineWarning)
        warnings.simplefilter("ignore", PosteriorCollapseWarning)
        return [clone(e).fit(curved) for e in ALL]


numbers = pytest.mark.parametrize("number", range(len(ALL)))


@numbers
def test_shapes_and_units(fitted: list, curved: np.ndarray, number: int) -> None:
    model = fitted[number]
    codes = model.transform(curved)
    assert codes.shape == (700, 2)
    rebuilt = model.inverse_transform(codes)
    np.testing.assert_allclose(rebuilt, model.reconstruct(curved), rtol=1e-5, atol=1e-5)
    errors = model.reconstruction_error(curved)
    per_value = model.reconstruction_error(curved, per_feature=True)
    np.testing.assert_allclose(errors, per_value.mean(1), rtol=1e-9)
    if model.plan_.get("scaling", model.scaling) != "standard":
        np.testing.assert_allclose(errors, ((rebuilt - curved) ** 2).mean(1), rtol=1e-3, atol=1e-8)
    if isinstance(model, narrows.Autoencoder) and model.scaling != "standard":
        np.testing.assert_allclose(model.score_samples(curved), -errors, rtol=1e-3, atol=1e-8)
    if isinstance(model, narrows.VariationalAutoencoder):
        bound = model.elbo(curved)
        np.testing.assert_allclose(model.score_samples(curved), bound.reconstruction - bound.kl, rtol=1e-9)
    assert model.score(curved) == pytest.approx(model.score_samples(curved).mean())


@numbers
def test_a_row_alone_is_as_it_is_among_others(fitted: list, curved: np.ndarray, number: int) -> None:
    model = fitted[number]
    for method in (model.transform, model.reconstruct, model.reconstruction_error, model.score_samples):
        whole = method(curved)
        for some in (slice(0, 1), slice(3, 4), slice(5, 70), slice(699, 700)):
            np.testing.assert_array_equal(method(curved[some]), whole[some])
        shuffled = np.random.default_rng(0).permutation(700)
        np.testing.assert_array_equal(method(curved[shuffled]), whole[shuffled])


@numbers
def test_same_from_call_to_call_and_from_fit_to_fit(fitted: list, curved: np.ndarray, number: int) -> None:
    again = clone(ALL[number]).fit(curved)
    np.testing.assert_array_equal(again.transform(curved), fitted[number].transform(curved))
    np.testing.assert_array_equal(again.fit(curved).transform(curved), fitted[number].transform(curved))
    assert [r["step"] for r in again.history_] == [r["step"] for r in fitted[number].history_]


@each
def test_random_state_matters_and_globals_do_not(estimator, curved: np.ndarray) -> None:
    np.random.seed(3)  # noqa: NPY002 - the global generator is what is watched here
    random.seed(3)
    torch.manual_seed(3)
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()  # noqa: NPY002
    states = (0, 1, None, np.random.RandomState(0))
    codes = [clone(estimator).set_params(random_state=state).fit(curved).transform(curved) for state in states]
    assert (before[0] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert before[1] == random.getstate()
    assert torch.equal(before[2], torch.get_rng_state())
    assert not np.array_equal(codes[0], codes[1])


@numbers
def test_save_and_load(fitted: list, curved: np.ndarray, number: int, tmp_path) -> None:
    model = fitted[number]
    model.save(tmp_path / "model.narrows")
    loaded = narrows.load(tmp_path / "model.narrows")
    for method in ("transform", "reconstruct", "reconstruction_error", "score_samples"):
        np.testing.assert_array_equal(getattr(loaded, method)(curved), getattr(model, method)(curved))
    loaded.save(tmp_path / "again.narrows")
    assert (tmp_path / "again.narrows").read_bytes()
    assert loaded.baselines_ == model.baselines_
    assert loaded.history_ == model.history_
    assert repr(loaded.get_params()) == repr({**model.get_params(), "device": "auto"})
    clone(loaded).fit(curved[:50])


@numbers
def test_copies_and_pickles(fitted: list, curved: np.ndarray, number: int) -> None:
    model = fitted[number]
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin.transform(curved), model.transform(curved))


@numbers
def test_modules_can_be_lifted_out(fitted: list, curved: np.ndarray, number: int) -> None:
    model = fitted[number]
    assert isinstance(model.encoder_, torch.nn.Module)
    with torch.no_grad():
        codes = model.encoder_(torch.from_numpy(curved))
        rebuilt = model.decoder_(codes)
    np.testing.assert_allclose(codes.numpy(), model.transform(curved), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rebuilt.numpy(), model.reconstruct(curved), rtol=1e-4, atol=1e-5)


@each
def test_sparse_is_as_dense(estimator, curved: np.ndarray) -> None:
    holes = np.where(curved > 0.3, curved, 0.0)
    dense = clone(estimator).fit(holes)
    sparse = clone(estimator).fit(csr_matrix(holes))
    np.testing.assert_allclose(sparse.transform(csr_matrix(holes)), dense.transform(holes), rtol=1e-4, atol=1e-5)


@each
def test_input_is_left_alone(estimator, curved: np.ndarray) -> None:
    for dtype in (np.float64, np.float32):
        X = curved.astype(dtype)
        X.setflags(write=False)
        kept = X.copy()
        model = clone(estimator).fit(X)
        assert model.transform(X).dtype == dtype
        model.reconstruct(X)
        np.testing.assert_array_equal(X, kept)


@each
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "int64", "uint64", "bool", "float16", ">f8"])
def test_types(estimator, dtype: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2 if dtype == "bool" else 100, (60, 5)).astype(dtype)
    model = clone(estimator).fit(X)
    floats = clone(estimator).fit(X.astype("float32"))
    codes = model.transform(X)
    assert codes.dtype == (np.float64 if dtype in ("int32", "int64", "uint64", ">f8") else np.float32)
    # The last digits of float32 and float64 differ, and training spreads that a little.
    assert np.abs(codes - floats.transform(X.astype("float32"))).mean() < 0.1 * codes.std()


@each
@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 5), (2, 3), (3, 1), (7, 4), (11, 2), (33, 3), (5, 200), (30, 1500)])
def test_every_size_works(estimator, n: int, d: int) -> None:
    X = np.random.default_rng(0).normal(size=(n, d)) * 3 + 5
    model = clone(estimator).fit(X)
    assert model.transform(X).shape == (n, 2)
    assert np.isfinite(model.reconstruct(X)).all()


@each
def test_constant_duplicate_and_unscaled_columns(estimator, curved: np.ndarray) -> None:
    X = np.column_stack([curved, curved[:, 0], np.full(700, 7.0), curved[:, 1] * 1e6 + 1e9, curved[:, 2] * 1e-6])
    model = clone(estimator).fit(X)
    rebuilt = model.reconstruct(X)
    assert np.isfinite(rebuilt).all()
    np.testing.assert_allclose(rebuilt[:, 11], 7.0, atol=1e-3)
    constant = clone(estimator).fit(np.full((50, 3), 2.5))
    np.testing.assert_allclose(constant.reconstruct(np.full((2, 3), 2.5)), 2.5, atol=0.05)


@each
def test_partial_fit_learns(estimator, curved: np.ndarray) -> None:
    model = clone(estimator)
    for _ in range(8):
        model.partial_fit(curved)
    losses = [record["loss"] for record in model.history_]
    assert losses[-1] < losses[0]
    assert len(losses) == 8
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        twin.partial_fit(curved).transform(curved), model.partial_fit(curved).transform(curved)
    )
