"""Laws of all labs on tiny runs: repeatable numbers, whole sentences, tables, pages and JSON; and the command."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

pytest.importorskip("matplotlib")
pytest.importorskip("pandas")

from narrows.cli.lab import lab
from narrows.errors import DataError
from narrows.labs import run_lab, write_lab_page
from narrows.labs.classifier import Accuracy, CodeClassifier, classify_codes
from narrows.labs.conclusions import Compare, Entry, Measure, Sentences, compare
from narrows.labs.movies_data import make_movies
from narrows.labs.page import lab_sections, table_of

QUICK = {
    "digits": {"max_epochs": 6},
    "vae": {"n_components": 3, "max_epochs": 2},
    "anomalies": {"digits": (2, 7), "max_epochs": 5},
    "movies": {"data": make_movies(80, 40, 1200, seed=1), "method": "linear", "n_splits": 2, "max_epochs": 2},
}
EACH = pytest.mark.parametrize("name", list(QUICK))


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def results():
    found = {}

    def of(name):
        if name not in found:
            told = []
            result = run_lab(name, progress=lambda stage, detail: told.append((stage, detail)), **QUICK[name])
            found[name] = (result, told)
        return found[name]

    return lambda name, told=False: of(name)[told]


# --- laws


@EACH
def test_same_seed_same_numbers_and_no_global_generator_touched(results, name):
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    again = run_lab(name, **QUICK[name])
    assert again == results(name)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), torch_state)


@EACH
def test_all_words_are_there_and_filled_in(results, name):
    result = results(name)
    words = Sentences(result.lab.prose)
    assert set(words["parts"]) == {part.key for part in result.lab.parts}
    assert set(words["conclusions"]) == {line.key for line in result.lab.comparisons}
    assert {entry.key for entry in result.entries} <= words["names"].keys()
    for text in (*result.conclusions, *result.notes, result.text("title"), result.text("lead")):
        assert not re.search(r"[{}]|\bnan\b", text), text
    # Whatever the order, each sentence can be filled in.
    for conclusion in result.conclude():
        for order in (-1, 0, 1):
            assert words.conclusion(replace(conclusion, order=order)).endswith(".")


@EACH
def test_tables_hold_what_was_measured(results, name):
    result = results(name)
    sections = lab_sections(result)
    for section in sections:
        assert section.table or section.figure
        if section.table:
            assert {len(row) for row in section.table.rows} == {len(section.table.columns)}
            assert all(row[0] for row in section.table.rows)
    shown = {cell for section in sections if section.table for row in section.table.rows for cell in row}
    narrows = result["narrows"]
    assert {narrows.cell(measure) for key, measure in result.lab.measures.items() if key in narrows.values} & shown


@EACH
def test_the_result_goes_to_json(results, name):
    result = results(name)
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["name"] == name
    assert plain["conclusions"] == list(result.conclusions)
    entry = next(entry for entry in plain["entries"] if entry["key"] == "narrows")
    assert all(entry[key] == value for key, value in result["narrows"].values.items())


@EACH
def test_the_page_is_whole(results, name, tmp_path):
    result = results(name)
    write_lab_page(result, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    n_figures = sum(part.figure is not None for part in result.lab.parts)
    assert text.count("<figure>") == text.count("<figcaption>") == n_figures
    assert text.count("<table>") == sum(section.table is not None for section in lab_sections(result))
    plain = re.sub(r"data:image[^\"]*", "", text).split("The data")[0]
    assert "http" not in plain
    assert "nan" not in re.sub(r"<[^>]*>", " ", plain).split()


@EACH
def test_progress_names_every_system(results, name):
    told = results(name, told=True)
    numbered = [re.match(r"(\d+) of (\d+): ", stage) for stage, detail in told if not detail]
    steps = [(int(found[1]), int(found[2])) for found in numbered if found]
    assert steps == [(number + 1, len(steps)) for number in range(len(steps))]
    assert any(detail.startswith("epoch ") for _, detail in told) or name == "anomalies"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("emnist", {}),
        ("digits", {"n_components": 64}),
        *[("vae", options) for options in ({"data": "emnist"}, {"n_components": 64}, {"n_components": 2})],
        *[("movies", options) for options in ({"data": "netflix"}, {"method": "rating"}, {"n_splits": 0})],
        *[("anomalies", {"digits": digits}) for digits in [(), (1, 1), (10,), (-1,)]],
    ],
)
def test_what_cannot_be_run_is_refused(name, options):
    with pytest.raises(DataError):
        run_lab(name, **options)


# --- comparisons


def _entry(key, value, error=None, samples=None):
    values = {"score": value} | ({} if error is None else {"score_error": error})
    found = {"score": np.asarray(samples)} if samples is not None else {}
    return Entry(key, key.upper(), values, found)


@pytest.mark.parametrize(
    ("one", "other", "relation"),
    [(1.0, 1.005, "equal"), (0.9, 1.0, "below"), (1.1, 1.0, "above"), (0.5, 1.0, "times_below"), (3, 1, "times_above")],
)
def test_without_errors_one_per_cent_decides(one, other, relation):
    found = compare(_entry("a", one), _entry("b", other), "score", -1)
    assert found.relation == relation
    assert found.order == (0 if relation == "equal" else 1 if "below" in relation else -1)
    assert compare(_entry("a", one), _entry("b", other), "score", 1).order == -found.order


def test_standard_errors_of_both_decide():
    assert compare(_entry("a", 1.0, 0.1), _entry("b", 1.25, 0.1), "score", 1).order == 0
    found = compare(_entry("a", 1.0, 0.1), _entry("b", 1.3, 0.1), "score", 1)
    assert (found.order, found.relation) == (-1, "worse")
    assert found.error == pytest.approx(0.02**0.5)


def test_pairs_decide_where_they_are_known():
    wide, rng = np.array([0.0, 10.0, 20.0, 30.0]), np.random.default_rng(0)
    shifted = wide + 1 + 0.1 * rng.normal(size=4)
    one, other = _entry("a", shifted.mean(), samples=shifted), _entry("b", wide.mean(), samples=wide)
    assert compare(one, other, "score", 1).order == 1
    assert compare(one, other, "score", 1).error == pytest.approx((shifted - wide).std(ddof=1) / 2)


def test_a_line_chooses_its_entries_and_its_order():
    entries = [_entry("a", 3.0), _entry("b", 1.0), _entry("c", 2.0), Entry("d", "D")]
    measures = {"score": Measure("{score:.1f}", 1)}
    found = Compare("x", ("b", "*", "a"), "score").conclude({"fact": -1}, entries, measures)
    assert (found.order, found.values["other_name"], found.values["ranking"]) == (-1, "A", "A 3.0, C 2.0, B 1.0")
    assert found.comparisons["relation_to_a"].order == -1
    assert Compare("x", ("a", "*"), "score", order="fact").conclude({"fact": -1}, entries, measures).order == -1
    assert Compare("x", when="fact").conclude({"fact": 0}, entries, measures) is None


def test_tables_mark_the_best_and_leave_out_what_was_not_measured():
    entries = [Entry("a", "A", {"x": 2.0, "y": 1.0}), Entry("b", "B", {"x": 1.0}), Entry("c", "C", {"z": 1.0})]
    measures = {"x": Measure("{x:.0f}", -1), "y": Measure("{y:.1f}", 1), "seconds": Measure("{seconds:.1f}")}
    words = {"head": "model", "headings": {"x": "X", "y": "Y", "seconds": "s"}}
    found = table_of(entries, measures, ("x", "y", "seconds"), words)
    assert found.rows == (("A", "2", "1.0"), ("B", "1", ""))
    assert found.best == (None, 1, 0)


# --- digits and the classifier


def test_digits_simple_answers_are_what_they_are_elsewhere(results):
    from sklearn.decomposition import PCA

    from narrows import datasets

    result, data = results("digits"), datasets.load("digits")
    train, test = data.train / 16, data.test / 16
    pca = PCA(8).fit(train)
    expected = np.square(pca.inverse_transform(pca.transform(test)) - test).mean()
    assert result["pca"]["test_mse"] == pytest.approx(expected, rel=1e-4)
    assert result["mean"]["test_mse"] == pytest.approx(np.square(train.mean(0) - test).mean(), rel=1e-4)
    assert result["narrows"]["test_mse"] < result["pca"]["test_mse"] < 0.5 * result["mean"]["test_mse"]
    for key, errors in result.artifacts["errors"].items():
        assert errors.shape == (360,)
        assert errors.mean() == pytest.approx(result[key]["test_mse"])
        assert result[key]["clipped_mse"] <= result[key]["test_mse"] + 1e-12


def test_classifier_learns_what_is_there_and_nothing_else():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    codes = np.eye(3)[labels] + 0.1 * rng.standard_normal((600, 3))
    noise = rng.standard_normal((600, 3))
    found = classify_codes(codes[:500], labels[:500], codes[500:], labels[500:], CodeClassifier())
    assert found == Accuracy(1.0, 1.0)
    nothing = classify_codes(noise[:500], labels[:500], noise[500:], labels[500:], CodeClassifier())
    assert 0.15 < nothing.test < 0.55
    labels = np.arange(100) % 2
    codes = np.column_stack([labels * 1e-3, np.full(100, 7.0)])
    assert classify_codes(codes, labels, codes, labels, CodeClassifier(), standardise=True).test == 1.0


# --- anomalies


def test_anomalies_are_told_from_the_rows_there_are(results):
    from sklearn.datasets import load_breast_cancer, load_digits

    result, labels = results("anomalies"), load_digits().target
    for digit in (2, 7):
        shown = result.artifacts[f"digits-{digit}"]
        n_normal = (labels != digit).sum()
        assert shown["labels"].sum() == (labels == digit).sum()
        assert len(shown["rows"]) == len(shown["labels"]) == n_normal - n_normal // 2 + shown["labels"].sum()
    shown = result.artifacts["cancer"]
    assert shown["labels"].sum() == (load_breast_cancer().target == 0).sum()
    rare = shown["detector"].p_values(shown["rows"]) <= 0.05
    assert rare[shown["labels"]].mean() > 0.5


def test_detection_is_measured_as_elsewhere(results):
    result = results("anomalies")
    for entry in result.entries:
        aurocs = []
        for digit in (2, 7):
            shown = result.artifacts[f"digits-{digit}"]
            scores, labels = shown["scores"][entry.key], shown["labels"]
            pairs = scores[labels][:, None] - scores[~labels][None]
            aurocs.append(((pairs > 0) + 0.5 * (pairs == 0)).mean())
            assert entry[f"auroc_{digit}"] == pytest.approx(aurocs[-1])
        assert entry["auroc"] == pytest.approx(np.mean(aurocs))
        assert entry["fpr_1"] <= entry["fpr_5"] <= entry["fpr_10"]
        assert entry["recall_1"] <= entry["recall_5"] <= entry["recall_10"]
    narrows = result["narrows"]
    assert narrows["auroc"] > 0.9
    assert narrows["cancer_auroc"] > 0.9
    assert narrows["fpr_5"] < 0.08
    assert narrows["digits_hits"] > 0.4
    assert narrows["cancer_hits"] > 0.5


# --- the command


@pytest.fixture
def command(results, monkeypatch):
    """Run the command on results that are there already."""

    def instead(name, *, seed, progress, **_):
        progress("fitting", "")
        return replace(results(name), seed=seed)

    monkeypatch.setattr("narrows.labs.run_lab", instead)
    app = typer.Typer()
    app.command("lab")(lab)
    return lambda *words: CliRunner().invoke(app, list(words), env={"COLUMNS": "100", "TERM": "dumb"})


@EACH
def test_command_prints_the_tables(command, results, name):
    ran = command(name, "--no-report")
    assert ran.exit_code == 0, ran.output
    assert "…" not in ran.stdout
    for section in lab_sections(results(name)):
        for row in section.table.rows if section.table else ():
            assert all(cell in ran.stdout for cell in row)
    assert "fitting" in ran.stderr
    assert "fitting\n" not in ran.stdout


def test_command_writes_the_page(command, tmp_path):
    out = tmp_path / "report.html"
    assert command("digits", "--out", str(out)).exit_code == 0
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


@EACH
def test_command_prints_json_alone(command, name):
    ran = command(name, "--json", "--no-report", "--seed", "3")
    found = json.loads(ran.stdout)
    assert (found["report"], found["seed"], found["name"]) == (None, 3, name)


def test_command_without_matplotlib_still_shows_the_table(command, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    out = tmp_path / "report.html"
    ran = command("digits", "--out", str(out))
    assert ran.exit_code == 0
    assert 'pip install "narrows[plots]"' in ran.stdout
    assert "course baseline" in ran.stdout
    assert not out.exists()


@pytest.mark.parametrize(
    "words",
    [
        "emnist",
        *(f"digits --out {place}" for place in ("no/such/folder/report.html", ".")),
        *(f"{name} --data {data}" for name, data in (("anomalies", "mnist"), ("movies", "mnist"), ("vae", "made-up"))),
    ],
)
def test_command_refuses_before_it_works(command, words):
    ran = command(*words.split())
    assert isinstance(ran.exception, DataError)
    assert "fitting" not in ran.output
