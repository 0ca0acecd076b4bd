"""Laws that hold for every public estimator."""

from __future__ import annotations

import copy
import pickle
import random
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, clone

import narrows
from conftest import codecs, detectors, estimators, recommenders
from narrows import NotBetterThanBaselineWarning, PosteriorCollapseWarning

pytestmark = [
    pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning"),
    pytest.mark.filterwarnings("ignore::narrows.PosteriorCollapseWarning"),
]
ALL, DETECTORS = estimators(), detectors()
EVERY = [*ALL, *DETECTORS]


def each_of(estimators: list):
    return pytest.mark.parametrize(
        "estimator", estimators, ids=[f"{type(e).__name__}-{i}" for i, e in enumerate(estimators)]
    )


each, each_detector = each_of(ALL), each_of(DETECTORS)
numbers = pytest.mark.parametrize("number", range(len(ALL)))
every_number = pytest.mark.parametrize("number", range(len(EVERY)))


def learnt(estimator: BaseEstimator, curved: np.ndarray) -> np.ndarray:
    """Return the rows it is fitted to here: a detector leaves some that are new to it."""
    return curved[:300] if isinstance(estimator, narrows.AnomalyDetector) else curved


def results(model: BaseEstimator, X: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a fitted estimator says of rows."""
    names = ("transform", "reconstruct", "reconstruction_error", "score_samples")
    if isinstance(model, narrows.AnomalyDetector):
        names = ("anomaly_score", "score_samples", "decision_function", "predict", "p_values")
    return {name: getattr(model, name)(X) for name in names}


def test_the_list_is_complete() -> None:
    public = {name for name in narrows.__all__ if isinstance(getattr(narrows, name), type)}
    public = {name for name in public if issubclass(getattr(narrows, name), BaseEstimator)}
    # The laws of recommenders stand in test_recommend.py, those of codecs in test_codec_laws.py.
    assert public == {type(e).__name__ for e in [*ALL, *DETECTORS, *recommenders(), *codecs()]}


@pytest.fixture(scope="module")
def fitted(curved: np.ndarray) -> list:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotBetterThanBaselineWarning)
        warnings.simplefilter("ignore", PosteriorCollapseWarning)
        return [clone(e).fit(learnt(e, curved)) for e in EVERY]


@pytest.fixture
def global_states_stay() -> Iterator[None]:
    """The global random states are the same after a test as before it."""
    np.random.seed(3)  # noqa: NPY002 - the global generator is what is watched here
    random.seed(3)
    torch.manual_seed(3)
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()  # noqa: NPY002
    yield
    assert (before[0] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert before[1] == random.getstate()
    assert torch.equal(before[2], torch.get_rng_state())


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


@every_number
def test_a_row_alone_is_as_it_is_among_others(fitted: list, curved: np.ndarray, number: int) -> None:
    # Rows of the fit, new ones, and others far away.
    X = np.vstack([curved, 50 * curved[:3], np.full((1, 10), 1e9)])
    whole = results(fitted[number], X)
    some = [slice(k, end) for k, end in ((0, 1), (3, 4), (5, 70), (280, 360), (699, 700), (703, 704))]
    for part in [slice(None), *some, np.random.default_rng(0).permutation(len(X))]:
        for name, values in results(fitted[number], X[part]).items():
            np.testing.assert_array_equal(values, whole[name][part])


@every_number
def test_same_from_fit_to_fit(fitted: list, curved: np.ndarray, number: int) -> None:
    again = clone(EVERY[number]).fit(curved[:30, :4]).fit(learnt(EVERY[number], curved))
    for name, values in results(again, curved).items():
        np.testing.assert_array_equal(values, getattr(fitted[number], name)(curved))


@each_of(EVERY)
@pytest.mark.usefixtures("global_states_stay")
def test_random_state_matters_and_globals_do_not(estimator, curved: np.ndarray) -> None:
    rows = curved[:200]
    states = (0, 1, None, np.random.RandomState(0))
    models = [clone(estimator).set_params(random_state=state).fit(rows) for state in states]
    found = [results(model, rows)["score_samples"] for model in models]
    if isinstance(estimator, narrows.AnomalyDetector):
        models[0].explain(rows[:2])
    else:
        assert not np.array_equal(found[0], found[1])


@every_number
def test_save_load_copy_and_pickle(fitted: list, curved: np.ndarray, number: int, tmp_path) -> None:
    model = fitted[number]
    model.save(tmp_path / "model.narrows")
    loaded = narrows.load(tmp_path / "model.narrows")
    loaded.save(tmp_path / "again.narrows")
    own = model.get_params(deep=False) | {"autoencoder": 0, "device": "auto"}
    for twin in (
        loaded,
        narrows.load(tmp_path / "again.narrows"),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
    ):
        for name, values in results(twin, curved).items():
            np.testing.assert_array_equal(values, getattr(model, name)(curved))
        assert repr(twin.get_params(deep=False) | {"autoencoder": 0, "device": "auto"}) == repr(own)
        clone(twin).fit(curved[:50])
        if isinstance(model, narrows.AnomalyDetector):
            assert twin.explain(curved[:3]).equals(model.explain(curved[:3]))
        else:
            assert (twin.baselines_, twin.history_) == (model.baselines_, model.history_)


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
        X = curved[:120].astype(dtype)
        X.setflags(write=False)
        kept = X.copy()
        model = clone(estimator).fit(X)
        assert model.transform(X).dtype == dtype
        model.reconstruct(X)
        np.testing.assert_array_equal(X, kept)


@each
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "uint64", "bool", "float16", ">f8"])
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
@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 5), (2, 3), (3, 1), (11, 2), (5, 1500)])
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


ONE_OF_EACH = [ALL[0], ALL[5], DETECTORS[0], recommenders()[0], codecs()[0], codecs()[3]]


@each_of(ONE_OF_EACH)
def test_a_fitted_estimator_is_copied_and_a_refit_that_fails_changes_nothing(estimator, curved, films) -> None:
    rows = films if isinstance(estimator, narrows.Recommender) else curved[:120]
    model = clone(estimator).fit(rows)
    before = pickle.dumps(model)
    clone(copy.deepcopy(pickle.loads(before)))
    for bad in (object(), "absent.npy", curved[:0]):
        with pytest.raises((ValueError, TypeError, OSError)):
            model.fit(bad)
        assert pickle.dumps(model) == before
    before = pickle.dumps(model.set_params(random_state="no seed"))
    with pytest.raises((ValueError, TypeError)):
        model.fit(rows)
    assert pickle.dumps(model) == before


# Detectors of anomalies have no code; their laws are of scores.


@pytest.mark.parametrize("place", range(len(DETECTORS)))
def test_scores_and_decisions_agree(fitted: list, curved: np.ndarray, place: int) -> None:
    model = fitted[len(ALL) + place]
    scores = model.anomaly_score(curved)
    assert scores.shape == (700,)
    assert scores.dtype == np.float64
    np.testing.assert_array_equal(model.score_samples(curved), -scores)
    np.testing.assert_array_equal(model.decision_function(curved), -scores - model.offset_)
    np.testing.assert_array_equal(model.predict(curved), np.where(-scores < model.offset_, -1, 1))
    p_values = model.p_values(curved)
    assert (p_values > 0).all()
    assert (p_values <= 1).all()
    order = scores.argsort()
    assert (np.diff(p_values[order]) <= 0).all()
    told = model.explain(curved[:7])
    assert list(told.columns) == ["row", "column", "seen", "expected", "attribution"]
    assert told.groupby("row").attribution.sum().to_numpy() == pytest.approx(np.ones(7))
    assert set(told.column) == {f"x{k}" for k in range(10)}
    assert len(model.explain(curved[:7], top=3)) == 21
    columns = ["column", "seen", "expected", "attribution"]
    whole = model.explain(curved[290:330])[columns].to_numpy().reshape(40, 10, 4)
    for row in (0, 7, 39):
        np.testing.assert_array_equal(model.explain(curved[290 + row : 291 + row])[columns].to_numpy(), whole[row])


@each_detector
def test_detectors_take_sparse_as_dense(estimator, curved: np.ndarray) -> None:
    holes = np.where(curved > 0.3, curved, 0.0)
    dense, sparse = clone(estimator).fit(holes[:300]), clone(estimator).fit(csr_matrix(holes[:300]))
    for name, values in results(sparse, csr_matrix(holes)).items():
        np.testing.assert_allclose(values, getattr(dense, name)(holes), atol=1e-6)
    assert sparse.explain(csr_matrix(holes[:2])).equals(dense.explain(holes[:2]))


@each_detector
@pytest.mark.parametrize("dtype", ["uint8", "int64", "uint64", "bool", "float16", ">f8"])
def test_types_make_no_difference_to_scores(estimator, dtype: str) -> None:
    X = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, (60, 5))
    model = clone(estimator).fit(X.astype(dtype))
    floats = clone(estimator).fit(X.astype("float64"))
    np.testing.assert_array_equal(model.anomaly_score(X.astype(dtype)), floats.anomaly_score(X.astype("float64")))
    assert model.explain(X[:1].astype(dtype)).seen.dtype == np.float64


@each_detector
@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 5), (2, 3), (3, 1), (11, 2), (5, 200)])
@pytest.mark.filterwarnings("ignore::narrows.UnlikeTrainingDataWarning")
def test_detectors_take_every_size(estimator, n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(n, d)) * 3 + 5, rng.normal(size=(40, d)) * 3 + 5
    model = clone(estimator).fit(X)
    for rows in (X, new, new * 1e6):
        assert np.isfinite(model.anomaly_score(rows)).all()
        assert set(model.predict(rows)) <= {-1, 1}
        assert model.detect(rows).dtype == bool
    told = model.explain(new[:2])
    assert len(told) == 2 * d
    assert np.isfinite(told[["seen", "expected", "attribution"]].to_numpy()).all()


@each_detector
def test_detectors_leave_input_alone(estimator, curved: np.ndarray, tmp_path) -> None:
    gaps = np.where(np.random.default_rng(0).random(curved.shape) < 0.05, np.nan, curved)[:200]
    for dtype in (np.float64, np.float32):
        X = gaps.astype(dtype)
        X.setflags(write=False)
        np.save(tmp_path / "rows.npy", X)
        mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
        model = clone(estimator).fit(X)
        twin = clone(estimator).fit(mapped)
        np.testing.assert_array_equal(twin.anomaly_score(mapped), model.anomaly_score(X))
        model.explain(X[:5])
        np.testing.assert_array_equal(X, gaps.astype(dtype))
        np.testing.assert_array_equal(mapped, gaps.astype(dtype))


def _awkward(curved: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    X = curved[:200]
    wild = X.copy()
    wild[7, 3], wild[8, 3], wild[9, 4] = 1e300, -1e300, 1e-300
    return {
        "constant": np.column_stack([X, np.full(200, 7.0), np.zeros(200), np.full(200, -1e200)]),
        "duplicate columns": np.column_stack([X, X]),
        "duplicate rows": np.vstack([X[:50]] * 4),
        "identical rows": np.full((200, 3), 2.5),
        "unscaled": X * 10.0 ** np.arange(-12, 18, 3) + np.array([0, 1e9] * 5),
        "heavy tails": np.column_stack([np.exp(5 * rng.normal(size=(200, 5))), rng.standard_cauchy((200, 5)) ** 3]),
        "enormous": wild,
        "all enormous": X * 1e306,
        "tiny": X * 1e-306,
        "a column without values": np.column_stack([X, np.full(200, np.nan)]),
        "missing": np.where(rng.random(X.shape) < 0.3, np.nan, X),
        "rows without values": np.vstack([X[:150], np.full((50, 10), np.nan)]),
        "nothing at all": np.full((50, 3), np.nan),
        "truth values": X > 0.3,
    }


@each_detector
def test_detectors_take_awkward_columns(estimator, curved: np.ndarray) -> None:
    for name, X in _awkward(curved).items():
        model = clone(estimator).fit(X)
        scores = model.anomaly_score(X)
        assert np.isfinite(scores).all(), name
        assert np.isfinite(model.explain(X[:3]).attribution).all(), name
        if model.contamination != "auto":
            # Of rows that are alike none is above the threshold rather than all.
            assert (model.predict(X) == -1).mean() <= (model.contamination or 0.05) + 1e-9, name
        if name == "enormous":
            assert scores[[7, 8]].min() > np.median(scores)
        if name == "constant":
            left = X[:1].copy()
            left[0, -3:] = (8.0, 1e-30, 1e200)
            assert model.anomaly_score(left)[0] > scores[0]
