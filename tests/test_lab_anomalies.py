"""The lab on anomalies: every method on the same rows, what the numbers say in either direction, and its command."""

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
from narrows.labs import anomaly_lessons, run_anomaly_lab
from narrows.labs.anomalies_results import RATES

METHODS = ["taught", "pca", "neighbors", "forest", "narrows"]
DIGITS = (2, 7)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def result():
    return run_anomaly_lab(digits=DIGITS, max_epochs=30)


# --- numbers


def test_every_method_is_measured_at_every_task(result):
    assert [task.key for task in result.tasks] == ["digits-2", "digits-7", "cancer"]
    assert [method.key for method in result.methods] == METHODS
    assert [(score.task, score.method) for score in result.scores] == [
        (task.key, method) for task in result.tasks for method in METHODS
    ]
    for score in result.scores:
        assert 0.5 < score.auroc <= 1
        assert 0 < score.average_precision <= 1
        assert len(score.passed) == len(score.found) == len(RATES)
        assert list(score.passed) == sorted(score.passed)
        assert list(score.found) == sorted(score.found)


def test_the_rows_are_all_there_and_no_anomaly_is_fitted(result):
    from sklearn.datasets import load_breast_cancer, load_digits

    labels = load_digits().target
    for digit in DIGITS:
        task = next(task for task in result.tasks if task.key == f"digits-{digit}")
        assert task.n_anomalies == (labels == digit).sum()
        assert task.n_train + task.n_ordinary == (labels != digit).sum()
        assert abs(task.n_train - task.n_ordinary) <= 1
        shown = result.exhibits[task.key]
        assert shown.labels.sum() == task.n_anomalies
        assert len(shown.rows) == len(shown.labels) == task.n_ordinary + task.n_anomalies
    cancer = load_breast_cancer(as_frame=True)
    shown = result.exhibits["cancer"]
    assert list(shown.rows.columns) == list(cancer.data.columns)
    assert shown.labels.sum() == (cancer.target == 0).sum()


def test_simple_answers_are_what_they_are_elsewhere(result):
    """Measured again by other means, from the scores that are kept."""
    for task in result.tasks:
        shown = result.exhibits[task.key]
        for key in METHODS:
            said = shown.scores[key]
            pairs = said[shown.labels][:, None] - said[~shown.labels][None]
            auroc = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
            assert result[task.key, key].auroc == pytest.approx(auroc)
        rare = shown.detector.p_values(shown.rows) <= 0.05
        assert result[task.key, "narrows"].found[1] == pytest.approx(rare[shown.labels].mean())
        assert result[task.key, "narrows"].passed[1] == pytest.approx(rare[~shown.labels].mean())


def test_the_detector_beats_chance_by_far_and_keeps_its_rates(result):
    assert result.values("digits", "narrows", "auroc").min() > 0.9
    assert result["cancer", "narrows"].auroc > 0.9
    for rate in RATES:
        assert result.values("digits", "narrows", "passed", rate).mean() < rate + 0.03


def test_wrong_values_are_blamed(result):
    assert {(blame.data, blame.method) for blame in result.blames} == {
        (data, key) for data in ("digits", "cancer") for key in ("taught", "pca", "narrows")
    }
    for data, n_rows, share in (("digits", 20 * len(DIGITS), 0.4), ("cancer", 150, 0.5)):
        blame = result.blame(data, "narrows")
        assert blame.n_rows == n_rows
        assert blame.first > share * n_rows


def test_same_seed_same_numbers_and_no_global_generator_touched():
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    first, again = (run_anomaly_lab(digits=(4,), max_epochs=2, seed=3) for _ in range(2))
    assert first == again
    assert first.lessons
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), torch_state)


def test_the_result_goes_to_json(result):
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["name"] == "anomalies"
    assert plain["scores"][4]["auroc"] == result["digits-2", "narrows"].auroc
    assert plain["lessons"] == list(result.lessons)
    assert plain["rates"] == list(RATES)
    assert "exhibits" not in plain


@pytest.mark.parametrize("digits", [(), (1, 1), (10,), (-1,)])
def test_what_cannot_be_run_is_refused(digits):
    with pytest.raises(DataError, match="digits must be some of 0 to 9"):
        run_anomaly_lab(digits=digits)


# --- lessons


def _with(result, data="digits", **changes):
    """Change the scores of methods: ``_with(result, taught={"auroc": 0.9})``; digits differ a little."""
    tasks = [task.key for task in result.tasks_of(data)]
    scores = []
    for score in result.scores:
        change = dict(changes.get(score.method, {})) if score.task in tasks else {}
        if "auroc" in change:
            change["auroc"] += 0.001 * tasks.index(score.task)
        scores.append(replace(score, **change))
    return replace(result, scores=tuple(scores))


def _told(result) -> str:
    return " ".join(anomaly_lessons(result))


def test_lessons_name_the_measured_numbers(result):
    text = " ".join(result.lessons)
    for key in METHODS:
        assert f"{result.values('digits', key, 'auroc').mean():.3f}" in text
        assert f"{result['cancer', key].auroc:.3f}" in text
        assert f"{result.values('digits', key, 'average_precision').mean():.3f}" in text
        assert f"{result.values('digits', key, 'passed', 0.05).mean():.1%}" in text


def test_lessons_turn_with_the_ranking(result):
    good = _told(
        _with(
            result,
            taught={"auroc": 0.8},
            pca={"auroc": 0.7},
            neighbors={"auroc": 0.6},
            forest={"auroc": 0.5},
            narrows={"auroc": 0.95},
        )
    )
    assert re.search(r"clearly above the 0\.70\d of PCA's error: the nonlinear layers are worth that much", good)
    assert re.search(r"reaches 0\.60\d, clearly below the network as taught", good)
    assert re.search(r"narrows reaches 0\.95\d, clearly above the best of the others, the network as taught", good)
    assert "narrows is the highest for 2 of 2." in good
    bad = _told(_with(result, taught={"auroc": 0.7}, pca={"auroc": 0.9}, narrows={"auroc": 0.6}))
    assert "a network that rebuilds more rebuilds anomalies, too" in bad
    assert re.search(r"narrows reaches 0\.60\d, clearly below the best of the others, .* is the better detector", bad)
    assert "narrows is the highest for 0 of 2; digit 2 goes to" in bad
    level = _told(_with(result, taught={"auroc": 0.95}, pca={"auroc": 0.95}, narrows={"auroc": 0.95}))
    assert re.search(
        r"not to be told from the 0\.95\d of PCA's error: for finding anomalies the training has gained", level
    )


def test_lessons_turn_with_the_table(result):
    def table(first):
        """Return a result in which a method parts the rows of the table perfectly, and others at random."""
        shown = result.exhibits["cancer"]
        noise = np.random.default_rng(0).normal(size=len(shown.labels))
        said = {key: noise + (10 * shown.labels if key == first else 0) for key in METHODS}
        exhibits = result.exhibits | {"cancer": replace(shown, scores=said)}
        changed = {key: {"auroc": 1.0 if key == first else 0.5} for key in METHODS}
        return _told(replace(_with(result, "cancer", **changed), exhibits=exhibits))

    assert "narrows is clearly the best" in table("narrows")
    assert "here PCA is clearly better than narrows. Try the simple detectors, too" in table("pca")
    near = {key: {"auroc": 0.5} for key in METHODS}
    narrows = _told(_with(result, "cancer", **(near | {"narrows": {"auroc": 0.5001}})))
    assert "narrows is the highest, but the test rows do not tell it from" in narrows
    other = _told(_with(result, "cancer", **(near | {"forest": {"auroc": 0.5001}})))
    assert "the isolation forest is the highest, though the test rows do not tell it from narrows" in other


def test_lessons_turn_with_the_thresholds(result):
    exact = {key: {"passed": RATES, "found": (0.1, 0.2, 0.3)} for key in METHODS}
    assert "all about as asked for" in _told(_with(result, **exact))
    loose = {"taught": {"passed": (0.03, 0.1, 0.2), "found": (0.1, 0.2, 0.3)}}
    text = _told(_with(result, **(exact | loose)))
    assert "Too many pass for the network as taught: rows of the fit are rebuilt better than new ones" in text
    tight = {"narrows": {"passed": (0.0, 0.01, 0.02), "found": (0.0, 0.1, 0.2)}}
    text = _told(_with(result, **(exact | tight)))
    assert "Fewer than were asked for pass for narrows" in text
    assert (
        "At the threshold for 5% narrows finds 10% of the digits held out; the network as taught finds more: 20%"
        in text
    )
    best = {"narrows": {"passed": RATES, "found": (0.5, 0.6, 0.7)}}
    text = _told(_with(result, **(exact | best)))
    assert (
        "finds 60% of the digits held out, more than any other method; next is the network as taught with 20%" in text
    )


def test_lessons_turn_with_the_explanations(result):
    def told(**first):
        blames = tuple(
            replace(blame, n_rows=100, first=first[blame.method]) if blame.data == "cancer" else blame
            for blame in result.blames
        )
        return _told(replace(result, blames=blames))

    assert "is the first that narrows blames in 90% of 100 rows of the table" in told(narrows=90, pca=50, taught=40)
    assert "narrows points to it clearly more often" in told(narrows=90, pca=50, taught=40)
    assert "the errors of PCA point to it clearly more often" in told(narrows=40, pca=80, taught=50)
    assert "these are not to be told apart" in told(narrows=80, pca=81, taught=50)


# --- the command


@pytest.fixture
def command(result, monkeypatch):
    """Run the command on the result that is there already."""

    def instead(*, seed, progress):
        progress("telling apart", "")
        return replace(result, seed=seed)

    monkeypatch.setattr("narrows.labs.run_anomaly_lab", instead)
    app = typer.Typer()
    app.command("lab")(lab)
    return lambda *words: CliRunner().invoke(app, list(words), env={"COLUMNS": "100", "TERM": "dumb"})


def test_command_prints_numbers_and_writes_the_report(command, result, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "report.html"
    ran = command("anomalies", "--out", str(out))
    assert ran.exit_code == 0, ran.output
    assert "Anomalies: the lab on digits and a table" in ran.stdout
    assert "…" not in ran.stdout
    for method in result.methods:
        mean = result.values("digits", method.key, "auroc").mean()
        assert re.search(rf"{method.name} +{mean:.3f}", ran.stdout)
    assert "What this says" in ran.stdout
    assert "telling apart" in ran.stderr
    text = out.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.count("<figure>") == text.count("<figcaption>") == 6
    assert text.count("<table>") == 4
    assert "http" not in re.sub(r"data:image[^\"]*", "", text).split("The data")[0]


def test_command_prints_json_alone(command):
    ran = command("anomalies", "--json", "--no-report", "--seed", "3")
    found = json.loads(ran.stdout)
    assert found["report"] is None
    assert (found["seed"], found["name"]) == (3, "anomalies")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("anomalies", "--data", "mnist"), "the lab anomalies is one on digits and a table already"),
        (("anomaly",), "There is no lab 'anomaly'; there are digits, mnist, vae, anomalies and movies"),
        (("anomalies", "--out", "no/such/folder/report.html"), "does not exist"),
    ],
)
def test_command_refuses_before_it_works(command, words, message):
    ran = command(*words)
    assert isinstance(ran.exception, DataError)
    assert message in str(ran.exception)
    assert "telling apart" not in ran.output
