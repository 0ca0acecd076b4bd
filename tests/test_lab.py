"""Lab 1: its numbers against the simple answers, what it says of them, and its face on the command line."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from narrows.cli.lab import lab
from narrows.errors import DataError
from narrows.labs import Accuracy, lessons, run_lab
from narrows.labs.classifier import CodeClassifier, classify_codes
from narrows.labs.results import Entry


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def result():
    return run_lab("digits")


def test_each_step_is_better_than_the_one_before(result):
    assert [entry.key for entry in result.entries] == ["mean", "pca", "taught", "narrows"]
    assert result["pca"].test_mse < 0.5 * result["mean"].test_mse
    assert result["taught"].test_mse < result["mean"].test_mse
    assert result["narrows"].test_mse < 0.8 * result["pca"].test_mse
    assert result["narrows"].test_mse < result["taught"].test_mse


def test_the_simple_answers_are_what_they_are_elsewhere(result):
    from sklearn.decomposition import PCA

    from narrows import datasets

    data = datasets.load("digits")
    train, test = data.train / 16, data.test / 16
    pca = PCA(result.n_components).fit(train)
    expected = np.square(pca.inverse_transform(pca.transform(test)) - test).mean()
    assert result["pca"].test_mse == pytest.approx(expected, rel=1e-4)
    assert result["mean"].test_mse == pytest.approx(np.square(train.mean(0) - test).mean(), rel=1e-4)


def test_the_classifier_is_far_above_chance(result):
    assert result["mean"].accuracy is None
    for key in ("pca", "taught", "narrows"):
        entry = result[key]
        for accuracy in (entry.accuracy, entry.accuracy_standardised):
            assert 0.7 < accuracy.validation <= 1
            assert 0.7 < accuracy.test <= 1


def test_cutting_to_the_bounds_never_harms(result):
    for entry in result.entries:
        assert entry.clipped_mse <= entry.test_mse + 1e-12


def test_errors_of_single_images_average_to_the_error(result):
    for key, errors in result.exhibits.errors.items():
        assert errors.shape == (result.n_test,)
        assert errors.mean() == pytest.approx(result[key].test_mse)


def test_what_the_report_shows_is_all_there(result):
    shown = result.exhibits
    assert shown.images.shape == (12, 64)
    assert set(shown.rebuilt) == {"mean", "pca", "taught", "narrows"}
    assert set(shown.codes) == {"pca", "taught", "narrows"}
    assert all(codes.shape == (360, result.n_components) for codes in shown.codes.values())
    assert len(shown.histories["taught"]) == 40


def test_same_seed_same_numbers_and_no_global_generator_touched(result):
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    again = run_lab("digits")
    assert again == result
    for key, codes in result.exhibits.codes.items():
        assert np.array_equal(again.exhibits.codes[key], codes)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), torch_state)


def test_the_result_goes_to_json(result):
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["entries"][1]["test_mse"] == result["pca"].test_mse
    assert plain["lessons"] == list(result.lessons)
    assert "exhibits" not in plain
    full = json.loads(json.dumps(result.to_dict(exhibits=True)))
    assert len(full["exhibits"]["codes"]["pca"]) == 360


@pytest.mark.parametrize(("name", "size", "message"), [("emnist", None, "no lab 'emnist'"), ("digits", 64, "1 to 63")])
def test_what_cannot_be_run_is_refused(name, size, message):
    with pytest.raises(DataError, match=message):
        run_lab(name, n_components=size)


# --- lessons


def _with(result, **changes):
    """Change entries of a result: ``_with(result, taught={"test_mse": 0.1})``."""
    entries = tuple(replace(entry, **changes.get(entry.key, {})) for entry in result.entries)
    return replace(result, entries=entries)


def _with_errors(result, **errors):
    """Set the errors of models, the same for every image."""
    changed = {key: {"test_mse": error, "clipped_mse": error} for key, error in errors.items()}
    arrays = {key: np.full(result.n_test, error) for key, error in errors.items()}
    exhibits = replace(result.exhibits, errors=result.exhibits.errors | arrays)
    return replace(_with(result, **changed), exhibits=exhibits)


def test_lessons_name_the_measured_numbers(result):
    text = " ".join(result.lessons)
    for entry in result.entries:
        assert f"{entry.test_mse:.4f}" in text
        if entry.accuracy:
            assert f"{entry.accuracy.test:.1%}" in text


def test_lessons_turn_with_the_errors(result):
    better = " ".join(lessons(_with_errors(result, mean=0.08, pca=0.02, taught=0.01, narrows=0.005)))
    assert (
        "PCA with 8 numbers rebuilds the test images with an error of 0.0200, 4 times smaller than the mean" in better
    )
    assert "ends at 0.0100, 2 times smaller than PCA's: the nonlinear layers" in better
    assert "narrows rebuilds none of the test images worse than PCA does" in better
    worse = " ".join(lessons(_with_errors(result, mean=0.08, pca=0.02, taught=0.05, narrows=0.025)))
    assert "ends at 0.0500, 2.5 times as large as PCA's: with as many numbers, the linear answer" in worse
    assert "end at 0.0250, 2 times smaller than the network as taught and 25% above PCA" in worse
    assert "narrows rebuilds 360 of the 360 test images worse than PCA does" in worse
    same = " ".join(lessons(_with_errors(result, pca=0.02, taught=0.02)))
    assert "about the same as PCA's: the layers and the training have gained nothing" in same


def test_lessons_turn_with_the_accuracies(result):
    result = _with_errors(result, mean=0.08, pca=0.02, taught=0.01, narrows=0.005)
    high, low = {"accuracy": Accuracy(0.99, 0.99)}, {"accuracy": Accuracy(0.8, 0.8)}
    below = " ".join(lessons(_with(result, taught=low, pca=high)))
    assert "clearly below the 99.0% on PCA's codes: a smaller error in rebuilding does not make a code" in below
    above = " ".join(lessons(_with(result, taught=high, pca=low)))
    assert "clearly above the 80.0% on PCA's codes: here the code that rebuilds better" in above
    level = " ".join(lessons(_with(result, taught=high, pca={"accuracy": Accuracy(0.99, 0.985)})))
    assert "not to be told from the 98.5% on PCA's codes." in level
    worse = _with_errors(result, pca=0.01, taught=0.02)
    assert "though it rebuilds worse" in " ".join(lessons(_with(worse, taught=high, pca=low)))


def test_lessons_turn_with_the_rest(result):
    dead = {"dead_units": 3, "zero_share": 0.5}
    changed = _with(result, taught=dead | {"warning": "no better"}, narrows={"stayed_linear": True})
    text = " ".join(lessons(changed))
    assert "keeps 3 of 8 numbers at zero for every test image, and 50%" in text
    assert "The network as taught warned: no better." in text
    assert "saw no gain on held-out images in leaving PCA" in text
    accuracies = dict(zip(("pca", "taught", "narrows"), (0.7, 0.8, 0.9), strict=True))
    kept = {key: {"accuracy": Accuracy(a, a), "accuracy_standardised": Accuracy(a, a)} for key, a in accuracies.items()}
    assert "keeps that order: narrows 90.0%, as taught 80.0%, PCA 70.0%" in " ".join(lessons(_with(result, **kept)))
    turned = {key: value | {"accuracy": Accuracy(0.5, 1 - value["accuracy"].test)} for key, value in kept.items()}
    assert "another order, so the scale of a code" in " ".join(lessons(_with(result, **turned)))


# --- the classifier


def test_classifier_learns_what_is_there_and_nothing_else():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    codes = np.eye(3)[labels] + 0.1 * rng.standard_normal((600, 3))
    noise = rng.standard_normal((600, 3))
    found = classify_codes(codes[:500], labels[:500], codes[500:], labels[500:], CodeClassifier())
    assert found == Accuracy(1.0, 1.0)
    nothing = classify_codes(noise[:500], labels[:500], noise[500:], labels[500:], CodeClassifier())
    assert 0.15 < nothing.test < 0.55


def test_standardising_copes_with_constant_units():
    labels = np.arange(100) % 2
    codes = np.column_stack([labels * 1e-3, np.full(100, 7.0)])
    found = classify_codes(codes, labels, codes, labels, CodeClassifier(), standardise=True)
    assert found.test == 1.0


# --- the command


@pytest.fixture
def command(result, monkeypatch):
    """Run the command on the result that is there already."""

    def instead(name, *, seed, progress):
        if name != "digits":
            return run_lab(name)
        progress("fitting", "")
        return replace(result, seed=seed)

    monkeypatch.setattr("narrows.labs.run_lab", instead)
    app = typer.Typer()
    app.command("lab")(lab)
    return lambda *words: CliRunner().invoke(app, list(words), env={"COLUMNS": "80", "TERM": "dumb"})


def test_command_prints_numbers_and_writes_the_report(command, result, tmp_path):
    out = tmp_path / "report.html"
    ran = command("digits", "--out", str(out))
    assert ran.exit_code == 0, ran.output
    for entry in result.entries:
        assert re.search(rf"{entry.name} .*{entry.test_mse:.4f}", ran.stdout)
    assert "What this says" in ran.stdout
    assert "fitting" in ran.stderr
    assert "fitting\n" not in ran.stdout
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_command_prints_json_alone(command, tmp_path):
    ran = command("digits", "--json", "--no-report", "--seed", "3")
    found = json.loads(ran.stdout)
    assert found["report"] is None
    assert found["seed"] == 3
    assert found["entries"][0]["name"] == "mean image"


def test_command_without_matplotlib_still_shows_the_table(command, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    out = tmp_path / "report.html"
    ran = command("digits", "--out", str(out))
    assert ran.exit_code == 0
    assert 'pip install "narrows[plots]"' in ran.stdout
    assert "as taught" in ran.stdout
    assert not out.exists()


@pytest.mark.parametrize(
    "words", [("emnist",), ("digits", "--out", "no/such/folder/report.html"), ("digits", "--out", ".")]
)
def test_command_refuses_before_it_works(command, words):
    ran = command(*words)
    assert isinstance(ran.exception, DataError)
    assert "fitting" not in ran.output


def test_entries_compare_without_their_times():
    assert Entry("a", "a", "a", 1.0, 1.0, seconds=1.0) == Entry("a", "a", "a", 1.0, 1.0, seconds=2.0)
