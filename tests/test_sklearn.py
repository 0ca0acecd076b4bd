"""The estimator contract is scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from conftest import small_autoencoder
from narrows import AnomalyDetector, Autoencoder, VariationalAutoencoder

pytestmark = [
    pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning"),
    pytest.mark.filterwarnings("ignore::narrows.PosteriorCollapseWarning"),
]


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        Autoencoder(max_epochs=2),
        Autoencoder(max_epochs=2, missing="mask", scaling="standard"),
        VariationalAutoencoder(max_epochs=2),
        VariationalAutoencoder(max_epochs=2, missing="mask", prior="normal"),
        AnomalyDetector(autoencoder=small_autoencoder()),
        AnomalyDetector(autoencoder=small_autoencoder(), contamination=0.1, method="reconstruction"),
    ]
)
def test_checks(estimator, check) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([Autoencoder(), VariationalAutoencoder(), AnomalyDetector()])
def test_checks_at_the_defaults(estimator, check) -> None:
    check(estimator)


def test_swaps_with_pca_in_a_pipeline_and_a_grid() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:600], y[:600]
    pipeline = make_pipeline(PCA(8), LogisticRegression(max_iter=2000))
    grid = {
        "pca": [PCA(random_state=0), Autoencoder(max_epochs=5, random_state=0)],
        "pca__n_components": [4, 8],
    }
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    scores = dict(zip(map(str, search.cv_results_["params"]), search.cv_results_["mean_test_score"], strict=True))
    assert len(scores) == 4
    assert min(scores.values()) > 0.5


def test_a_detector_is_tuned_in_a_grid_and_stands_at_the_end_of_a_pipeline() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 3)), np.ones(200)
    X[:20], y[:20] = rng.normal(size=(20, 3)) + 9, -1
    pipeline = make_pipeline(PCA(), AnomalyDetector(autoencoder=small_autoencoder(), random_state=0))
    grid = {"anomalydetector__contamination": [0.1, 0.5]}
    shuffled = rng.permutation(200)
    search = GridSearchCV(pipeline, grid, cv=2, scoring="accuracy").fit(X[shuffled], y[shuffled])
    assert search.best_params_ == {"anomalydetector__contamination": 0.1}
    assert search.best_score_ > 0.95


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_in_and_out(library: str, curved: np.ndarray) -> None:
    frames = pytest.importorskip(library)
    names = [f"column {i}" for i in range(curved.shape[1])]
    frame = frames.DataFrame({name: curved[:, i] for i, name in enumerate(names)})
    model = Autoencoder(2, max_epochs=2, random_state=0).set_output(transform=library).fit(frame)
    codes = model.transform(frame)
    assert type(codes).__module__.startswith(library)
    assert list(codes.columns) == ["autoencoder0", "autoencoder1"] == list(model.get_feature_names_out())
    assert list(model.feature_names_in_) == names
    same = Autoencoder(2, max_epochs=2, random_state=0).fit(curved)
    np.testing.assert_array_equal(np.asarray(codes), same.transform(curved))
    if library == "pandas":
        wide = frame.assign(text="a").astype({"text": "category"})
    else:
        wide = frame.with_columns(text=frames.lit("a"))
    mixed = Autoencoder(2, max_epochs=2, random_state=0).fit(wide)
    assert type(mixed.reconstruct(wide)).__module__.startswith(library)
    assert list(mixed.reconstruct(wide).columns) == [*names, "text"]


def test_nullable_integers_and_missing_values(curved: np.ndarray) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": pandas.array([1, 2, None] * 20, dtype="Int64"), "b": range(60)})
    with pytest.raises(ValueError, match="column 'a'"):
        Autoencoder(1, missing="error").fit(frame)
    model = Autoencoder(1, max_epochs=2).fit(frame)
    assert np.isfinite(model.transform(frame)).all()
    assert np.isnan(model.reconstruction_error(frame, per_feature=True)).sum() == 20
    assert np.isfinite(model.reconstruct(frame)).all()
