"""PCA against autoencoder: numbers that can be checked, verdicts that follow from them, and every face."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA

import narrows
import plain_tables as tables
from narrows.cli import main
from narrows.comparison import methods

QUICK = {"max_epochs": 4}


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.images[:900], data.target[:900]


@pytest.fixture(scope="module")
def found(digits):
    return narrows.compare(digits[0], (2, 8, 4, 8, 100), digits[1], ordered=True, random_state=1, max_epochs=30)


@pytest.fixture(scope="module")
def flat():
    rng = np.random.default_rng(0)
    return rng.normal(size=(700, 6)) * 0.7 ** np.arange(6) + 3


@pytest.fixture
def _few_steps(monkeypatch):
    """The linear autoencoder is no matter of these tests."""
    monkeypatch.setattr(methods, "LINEAR_STEPS", 60)


few_steps = pytest.mark.usefixtures("_few_steps")


def pca_error(train, test, size):
    pca = PCA(size).fit(train)
    return np.square(pca.inverse_transform(pca.transform(test)) - test).mean()


# Numbers.


@few_steps
def test_pca_is_scikit_learns(digits):
    X = digits[0].reshape(900, -1)
    train, test = X[:700], X[700:]
    given = narrows.compare(train, (3,), X_test=test, **QUICK)
    entry = given["pca", 3]
    assert entry.error == pytest.approx(pca_error(train, test, 3), rel=1e-5)
    variance = np.square(test - train.mean(0)).mean()
    assert entry.explained == pytest.approx(1 - pca_error(train, test, 3) / variance, rel=1e-5)
    assert entry.parameters == 4 * 64
    for size in (1, 2, 10):
        assert given.artifacts.pca_curve[size - 1] == pytest.approx(pca_error(train, test, size), rel=1e-2)


@few_steps
def test_standard_scaling_counts_in_standard_deviations(flat):
    wide = flat * [1, 1, 1, 1, 1, 1000]
    found = narrows.compare(wide[:500], (2,), X_test=wide[500:], scaling="standard", max_epochs=6)
    std = wide[:500].std(0)
    assert found["pca", 2].error == pytest.approx(pca_error(wide[:500] / std, wide[500:] / std, 2), rel=1e-5)
    assert found["autoencoder", 2].error < 1.2 * found["pca", 2].error


def test_one_ordered_fit_serves_all_sizes(found):
    assert found.sizes == (2, 4, 8)
    assert len(found.results) == 9
    assert "100" in found.notes[0]
    entry = found["autoencoder", 8]
    assert entry.shared_fit
    assert found.models["autoencoder", 8] is found.models["autoencoder", 2]
    assert entry.error == pytest.approx(found.artifacts.errors["autoencoder", 8].mean())
    assert 0.5 < entry.trustworthiness <= 1
    assert 0.5 < entry.neighbour_accuracy <= 1
    assert entry.bytes == found["autoencoder", 2].bytes > found["pca", 8].bytes
    assert entry.fit_seconds > 0
    assert len(found.artifacts.errors["pca", 2]) == found.artifacts.n_held_out == 180
    for size in found.sizes:
        assert 0.97 < found["linear", size].error / found["pca", size].error < 1.15


@few_steps
def test_one_fit_for_each_size_and_the_same_again(flat):
    told = []
    found = narrows.compare(flat, (1, 2), progress=lambda stage, done: told.append((stage, done)), **QUICK)
    assert found.models["autoencoder", 1].n_components_ == 1
    assert not found["autoencoder", 1].shared_fit
    assert found.results == narrows.compare(flat, (1, 2), **QUICK).results
    assert [done for _, done in told] == sorted(done for _, done in told)
    assert told[-1] == ("measuring", 1.0)
    assert {"PCA", "linear autoencoder", "autoencoder"} <= {stage for stage, _ in told}


# Verdicts.


@few_steps
def test_plain_rows_are_for_pca_and_a_curved_surface_is_not(flat):
    plain = narrows.compare(flat, (2, 4))
    assert not plain.worth_it(2)
    assert not plain.worth_it(4)
    assert "PCA is enough" in plain.verdict
    curved = narrows.compare(narrows.datasets.make_manifold(900, 10, n_latent=2, random_state=0), (2,))
    assert curved.worth_it(2)
    assert "worth it" in curved.verdict


@few_steps
@pytest.mark.parametrize(
    ("y", "majority"),
    [
        (np.zeros(200, dtype=int), 1.0),
        (np.arange(200) // 2, None),
        (np.array([f"row {k}" for k in range(200)]), None),
        (np.arange(200) % 10 == 0, 0.9),
    ],
    ids=["one class", "pairs", "all different", "nine in ten"],
)
def test_labels_that_cannot_tell(flat, tmp_path, y, majority):
    found = narrows.compare(flat[:200], (2,), y, **QUICK)
    entry = found["autoencoder", 2]
    assert "cannot tell" in found.verdict
    assert f"{entry.majority_accuracy:.3f}" in found.verdict
    assert entry.majority_accuracy == pytest.approx(majority) if majority else entry.majority_accuracy <= 0.05
    assert (entry.neighbour_accuracy is None) == (majority != 0.9)
    found.report(tmp_path / "page.html")


# Faces.


def test_every_face(found, tmp_path):
    frame = found.to_frame()
    assert list(frame["method"].unique()) == ["pca", "linear", "autoencoder"]
    assert len(frame) == 9
    told = json.loads(json.dumps(found.to_dict()))
    assert told["verdict"] == found.verdict
    assert "64 × 8" in told["course_table"]["transform"]["pca"]
    # What always predicting the commonest class comes to stands beside the accuracies.
    held = found["pca", 2].majority_accuracy
    assert 0.1 <= held < 0.15
    text = str(found)
    assert all(f"{held:.3f}" in face for face in (text, found.verdict, found._repr_html_()))
    assert max(len(line) for line in text.splitlines()[:10]) < 100
    for theme in ("light", "dark"):
        axes = found.plot(theme).axes
        assert len(axes) == 4
        # PCA's own curve falls to zero at 64 components: that must not flatten the others.
        assert axes[0].get_ylim()[0] > 0.5 * min(entry.error for entry in found.results)
    found.report(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<picture>") >= 5
    assert "http" not in page.replace("http-equiv", "")


@few_steps
def test_frames_files_and_texts_as_labels(flat, tmp_path):
    iris = load_iris(as_frame=True)
    names = iris.target_names[iris.target]
    found = narrows.compare(iris.data, (1, 2), names, scaling="standard", **QUICK)
    assert found.artifacts.feature_names == list(iris.data.columns)
    assert found["pca", 2].linear_accuracy > 0.7
    found.report(tmp_path / "iris.html")
    tables.write(tmp_path / "rows.csv", flat, columns=list("abcdef"))
    read = narrows.compare(tmp_path / "rows.csv", (2,), **QUICK)
    assert read.artifacts.feature_names == list("abcdef")
    assert read.results == narrows.compare(flat, (2,), **QUICK).results


@few_steps
def test_odd_shapes():
    rng = np.random.default_rng(0)
    for X in (rng.normal(size=(30, 1)), np.column_stack([np.ones(40), rng.normal(size=40)]), np.ones((20, 3))):
        found = narrows.compare(X, (1,), **QUICK)
        assert np.isfinite(found["autoencoder", 1].error)
        assert found.verdict


@pytest.mark.parametrize(
    "options",
    [
        *({"n_components": sizes} for sizes in ((0,), (), "2", (50,))),
        *({"y": y} for y in (np.zeros(3), np.linspace(0, 1, 700), np.array(["a", None] * 350, dtype=object))),
        {"X_test": np.zeros((5, 2))},
        {"X_test": np.zeros((5, 6)), "y": np.zeros(700)},
        {"scaling": "none"},
        *({"X": X} for X in (np.zeros((4, 3)), np.full((40, 3), np.nan), "none.csv")),
    ],
)
def test_what_cannot_be_compared(flat, options):
    with pytest.raises(ValueError, match=r"."):
        narrows.compare(**({"X": flat, "n_components": (2,)} | options))


@few_steps
def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    iris = load_iris()
    with (tmp_path / "iris.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["a", "b", "c", "d", "kind"])
        writer.writerows([*row, name] for row, name in zip(iris.data, iris.target_names[iris.target], strict=True))
    line = "compare iris.csv --labels kind --n-components 1,2 --max-epochs 5 --report p.html --plot p.png -o t.csv"
    assert main(line.split()) == 0
    assert "5-NN" in capsys.readouterr().out
    with (tmp_path / "t.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "p.html").stat().st_size > 10_000
    line = ["compare", "iris.csv", "--columns", "a,b,c,d", "--n-components", "2", "--max-epochs", "2", "--json"]
    assert main(line) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 3
    lines = """
        compare iris.csv --labels none
        compare iris.csv --n-components x
        compare iris.csv --scaling no
        compare iris.csv --plot a.gif
        compare iris.csv -o a.parquet
        compare iris.csv --report no/p.html
        compare none.csv
        compare digits --labels a
    """
    for line in lines.strip().splitlines():
        assert main(line.split()) == 2
        assert capsys.readouterr().err.count("\n") == 1
