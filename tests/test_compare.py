"""PCA against autoencoder: numbers that can be checked, verdicts that follow from them, and every face."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA

import narrows
from narrows.cli import main

QUICK = {"max_epochs": 6}


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


def test_sizes_are_sorted_and_those_too_large_are_told(found):
    assert found.sizes == (2, 4, 8)
    assert found.notes[0] == "Left out, for there are 64 columns or training rows: codes of 100 numbers."
    assert len(found.results) == 9


def test_pca_is_scikit_learns(digits):
    X = digits[0].reshape(900, -1)
    given = narrows.compare(X[:700], (3,), X_test=X[700:], **QUICK)
    pca = PCA(3).fit(X[:700])
    residue = pca.inverse_transform(pca.transform(X[700:])) - X[700:]
    about_mean = X[700:] - X[:700].mean(0)
    entry = given["pca", 3]
    assert entry.error == pytest.approx(np.square(residue).mean(), rel=1e-5)
    assert entry.explained == pytest.approx(1 - np.square(residue).sum() / np.square(about_mean).sum(), rel=1e-5)
    assert entry.parameters == 4 * 64
    for size in (1, 2, 10):
        curve = PCA(size).fit(X[:700])
        expected = np.square(curve.inverse_transform(curve.transform(X[700:])) - X[700:]).mean()
        assert given.exhibits.pca_curve[size - 1] == pytest.approx(expected, rel=1e-2)


def test_standard_scaling_counts_in_standard_deviations(flat):
    wide = flat * [1, 1, 1, 1, 1, 1000]
    found = narrows.compare(wide[:500], (2,), X_test=wide[500:], scaling="standard", **QUICK)
    spread = wide[:500].std(0)
    pca = PCA(2).fit(wide[:500] / spread)
    rebuilt = pca.inverse_transform(pca.transform(wide[500:] / spread))
    assert found["pca", 2].error == pytest.approx(np.square(rebuilt - wide[500:] / spread).mean(), rel=1e-5)
    assert found["autoencoder", 2].error < 1.2 * found["pca", 2].error


def test_a_linear_autoencoder_comes_near_pca(found):
    for size in found.sizes:
        assert 0.97 < found["linear", size].error / found["pca", size].error < 1.15


def test_the_measures_are_what_they_say(found, digits):
    entry = found["autoencoder", 8]
    model = found.models["autoencoder", 8]
    assert entry.shared_fit
    assert model is found.models["autoencoder", 2]
    assert entry.error == pytest.approx(found.exhibits.errors["autoencoder", 8].mean())
    assert 0.5 < entry.trustworthiness <= 1
    assert 0.5 < entry.neighbour_accuracy <= 1
    assert entry.bytes == found["autoencoder", 2].bytes > found["pca", 8].bytes
    assert entry.fit_seconds > 0
    assert len(found.exhibits.errors["pca", 2]) == found.exhibits.n_held_out == 180


def test_the_verdict_on_plain_rows_is_pca(flat):
    assert narrows.compare(flat, (2, 4)).verdict.startswith("PCA is enough here")


def test_the_verdict_on_a_curved_surface_is_not():
    X = narrows.datasets.make_manifold(900, 10, n_latent=2, random_state=0)
    found = narrows.compare(X, (2,))
    assert found.verdict.startswith("The autoencoder is worth it at every size: with 2 numbers it leaves 0.")
    assert "It took" in found.verdict
    assert "as little as PCA with" in found.verdict


def test_the_commonest_class_is_told(flat):
    # Accuracies of 0.9 mean nothing where nine rows in ten are of one class.
    found = narrows.compare(flat[:500], (2,), np.arange(500) % 10 == 0, **QUICK)
    assert "would be right for 90.0% of the held-out rows" in found.notes[-1]


def test_one_fit_for_each_size(flat):
    found = narrows.compare(flat, (1, 2), **QUICK)
    assert found.models["autoencoder", 1].n_components_ == 1
    assert not found["autoencoder", 1].shared_fit


def test_the_same_again(flat):
    one, other = (narrows.compare(flat, (1, 2), random_state=3, **QUICK) for _ in range(2))
    assert one.results == other.results


def test_every_face(found, tmp_path):
    frame = found.to_frame()
    assert list(frame["method"].unique()) == ["pca", "linear", "autoencoder"]
    assert len(frame) == 9
    told = json.loads(json.dumps(found.to_dict()))
    assert told["verdict"] == found.verdict
    assert set(told["course_table"]) == {"transform", "how it is computed", "cost", "interpretability", "flexibility"}
    assert "64 × 8" in found.course_table["transform"]["pca"]
    text = str(found)
    assert found.verdict in text
    assert max(len(line) for line in text.splitlines()[:10]) < 100
    assert "<table>" in found._repr_html_()
    for theme in ("light", "dark"):
        assert len(found.plot(theme).axes) == 4
    # PCA's own curve falls to zero at 64 numbers: that must not flatten the others.
    assert found.plot().axes[0].get_ylim()[0] > 0.5 * min(entry.error for entry in found.results)
    found.report(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<picture>") >= 5
    assert "http" not in page.replace("http-equiv", "")
    assert "PCA against autoencoder" in page


def test_frames_and_texts_as_labels(tmp_path):
    iris = load_iris(as_frame=True)
    names = iris.target_names[iris.target]
    found = narrows.compare(iris.data, (1, 2), names, scaling="standard", **QUICK)
    assert found.exhibits.feature_names == list(iris.data.columns)
    assert found["pca", 2].linear_accuracy > 0.7
    found.report(tmp_path / "iris.html")


def test_odd_shapes():
    rng = np.random.default_rng(0)
    for X in (rng.normal(size=(30, 1)), np.column_stack([np.ones(40), rng.normal(size=40)]), np.ones((20, 3))):
        found = narrows.compare(X, (1,), **QUICK)
        assert np.isfinite(found["autoencoder", 1].error)
        assert found.verdict


def test_progress_rises_to_one(flat):
    told = []
    narrows.compare(flat, (1, 2), progress=lambda stage, share: told.append((stage, share)), **QUICK)
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert told[-1] == ("measuring", 1.0)
    assert {"PCA", "linear autoencoder", "autoencoder"} <= {stage for stage, _ in told}


MISTAKES = [
    ({"n_components": (0,)}, "n_components must be whole numbers above 0"),
    ({"n_components": ()}, "n_components must be whole numbers above 0"),
    ({"n_components": "2"}, "n_components must be whole numbers above 0"),
    ({"n_components": (50,)}, "no size is left"),
    ({"y": np.zeros(3)}, "y must hold one class for each of 700 rows"),
    ({"y": np.linspace(0, 1, 700)}, "y must hold classes"),
    ({"X_test": np.zeros((5, 2))}, "X_test has 2 columns, and X has 6"),
    ({"X_test": np.zeros((5, 6)), "y": np.zeros(700)}, "labels are needed for both"),
    ({"scaling": "none"}, "scaling must be 'common' or 'standard'"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_mistakes_are_named(flat, options, message):
    with pytest.raises(ValueError, match=message):
        narrows.compare(flat, **({"n_components": (2,)} | options))


def test_rows_that_will_not_do():
    with pytest.raises(ValueError, match="too few to hold some out"):
        narrows.compare(np.zeros((4, 3)), (1,))
    with pytest.raises(ValueError, match="NaN"):
        narrows.compare(np.full((40, 3), np.nan), (1,))


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    iris = load_iris()
    with (tmp_path / "iris.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["a", "b", "c", "d", "kind"])
        writer.writerows([*row, name] for row, name in zip(iris.data, iris.target_names[iris.target], strict=True))
    line = "compare iris.csv --labels kind --n-components 1,2 --max-epochs 5 --report p.html --plot p.png -o t.csv"
    assert main(line.split()) == 0
    printed = capsys.readouterr().out
    assert "PCA is enough here" in printed or "worth it" in printed
    assert "5-NN" in printed
    with (tmp_path / "t.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "p.html").stat().st_size > 10_000
    line = ["compare", "iris.csv", "--columns", "a,b,c,d", "--n-components", "2", "--max-epochs", "2", "--json"]
    assert main(line) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 3
    for wrong, message in [
        ("compare iris.csv", "--columns"),
        ("compare iris.csv --labels none", "neither a column of iris.csv nor a file"),
        ("compare iris.csv --n-components x", "--n-components must be whole numbers"),
        ("compare iris.csv --scaling no", "--scaling must be"),
        ("compare iris.csv --plot a.gif", "must be a .png, .svg or .pdf"),
        ("compare iris.csv -o a.parquet", "must be a .csv file"),
        ("compare iris.csv --report no/p.html", "does not exist"),
        ("compare none.csv", "does not exist"),
        ("compare digits --labels a", "brings its labels"),
    ]:
        assert main(wrong.split()) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert len(error) == 1
        assert message in error[0]


def test_a_file_is_read(flat, tmp_path):
    from narrows import tables

    tables.write(tmp_path / "rows.csv", flat, columns=list("abcdef"))
    found = narrows.compare(tmp_path / "rows.csv", (2,), **QUICK)
    assert found.exhibits.feature_names == list("abcdef")
    assert found.results == narrows.compare(flat, (2,), **QUICK).results
    with pytest.raises(narrows.DataError, match="none"):
        narrows.compare(tmp_path / "none.csv")
