"""The lab on variational autoencoders against the simple answers, what it says of them, and its command."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from narrows import datasets
from narrows.cli.lab import lab
from narrows.errors import DataError
from narrows.labs import run_vae_lab, vae_lessons
from narrows.labs.samples import Reader, frechet_distance, unseen_from
from narrows.labs.vae_samples import LinearGenerator

EPOCHS = 12


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def result():
    return run_vae_lab("digits", n_components=4, max_epochs=EPOCHS)


@pytest.fixture(scope="module")
def digits():
    data = datasets.load("digits")
    return data.train / 16, data.test / 16, data.train_labels, data.test_labels


# --- numbers


def test_every_model_is_held_against_the_simple_answers(result):
    assert [entry.key for entry in result.entries] == ["taught", "small", "narrows"]
    assert [entry.n_components for entry in result.entries] == [2, 2, 4]
    for key in ("small", "narrows"):
        assert result.floor < result[key].total < result.independent
        assert result[key].test_mse < result.simple_error("mean")
    assert result["narrows"].test_mse < result.simple_error("pca", 2)
    assert result["taught"].passes == pytest.approx(EPOCHS)


def test_the_simple_answers_are_what_they_are_elsewhere(result, digits):
    from scipy.stats import entropy
    from sklearn.decomposition import PCA

    train, test, *_ = digits
    for size in (2, 4):
        pca = PCA(size).fit(train)
        expected = np.square(pca.inverse_transform(pca.transform(test)) - test).mean()
        assert result.simple_error("pca", size) == pytest.approx(expected, rel=1e-3)
    assert result.simple_error("mean") == pytest.approx(np.square(train.mean(0) - test).mean(), rel=1e-4)
    both = np.stack([test, 1 - test])
    assert result.floor == pytest.approx(entropy(both, axis=0).sum(1).mean(), rel=1e-4)
    chance = (train.sum(0) + 1) / (len(train) + 2)
    cost = -(test * np.log(chance) + (1 - test) * np.log(1 - chance)).sum(1).mean()
    assert result.independent == pytest.approx(cost, rel=1e-5)


def test_losses_are_their_parts_and_the_bound_is_one(result):
    for entry in result.entries:
        assert entry.total == pytest.approx(entry.reconstruction + entry.kl)
        assert entry.bits_per_pixel == pytest.approx(entry.total / 64 / np.log(2))
        assert entry.total == pytest.approx(result.exhibits.totals[entry.key].mean())
        assert result.floor < entry.importance < entry.importance_total
        assert 0 < entry.n_active <= entry.n_components


def test_real_images_are_nearest_and_shuffled_pixels_far(result):
    real = result.score("real")
    assert real.read > 0.9
    assert real.distance < min(score.distance for score in result.scores if score is not real)
    assert result.score("pixels").distance > 5 * real.distance
    assert result.score("narrows", "mixture").distance < result.score("taught", "mixture").distance
    assert result.score("narrows", "mixture").read > 0.4


def test_the_fitted_models_are_there_to_go_on_with(result):
    models, images = result.exhibits.models, result.exhibits.images
    assert images.shape == (360, 8, 8)
    assert models["narrows"].sample(3, y=7, random_state=0).shape == (3, 8, 8)
    assert models["taught"].prior == "normal"
    assert -models["taught"].elbo(images).total.mean() == pytest.approx(result["taught"].total)
    assert not any(model.callbacks for model in models.values())


def test_same_seed_same_numbers_and_no_global_generator_touched():
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    first, again = (run_vae_lab("digits", n_components=3, max_epochs=1, seed=2) for _ in range(2))
    assert first == again
    assert first.lessons
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), torch_state)


def test_the_result_goes_to_json(result):
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["name"] == "vae"
    assert plain["entries"][2]["total"] == result["narrows"].total
    assert plain["lessons"] == list(result.lessons)
    assert "exhibits" not in plain


@pytest.mark.parametrize(
    ("data", "size", "message"),
    [("emnist", None, "digits and mnist, not 'emnist'"), ("digits", 64, "3 to 63"), ("digits", 2, "3 to 63")],
)
def test_what_cannot_be_run_is_refused(data, size, message):
    with pytest.raises(DataError, match=message):
        run_vae_lab(data, n_components=size)


# --- lessons


def _with(result, scores=None, **changes):
    """Change entries and scores: ``_with(result, {("pca", "mixture"): {"distance": 1.0}}, taught={"kl": 1.0})``."""
    entries = tuple(replace(entry, **changes.get(entry.key, {})) for entry in result.entries)
    changed = tuple(replace(score, **(scores or {}).get((score.source, score.way), {})) for score in result.scores)
    return replace(result, entries=entries, scores=changed)


def _with_totals(result, **totals):
    """Set the losses of models, the same for every image but for a little noise."""
    noise = np.random.default_rng(0).normal(size=result.n_test) * 0.1
    noise -= noise.mean()
    arrays = {key: total + noise * (number + 1) for number, (key, total) in enumerate(totals.items())}
    exhibits = replace(result.exhibits, totals=result.exhibits.totals | arrays)
    changed = {key: {"total": total} for key, total in totals.items()}
    return replace(_with(result, **changed), exhibits=exhibits)


def test_lessons_name_the_measured_numbers(result):
    text = " ".join(result.lessons)
    for entry in result.entries:
        assert f"{entry.total:.1f}" in text
    for key in ("taught", "narrows"):
        assert f"{result[key].test_mse:.4f}" in text
    assert f"{result.floor:.1f}" in text
    assert f"{result.score('narrows', 'mixture').read:.0%} (narrows, 4 numbers)" in text


def test_lessons_turn_with_the_losses(result):
    better = " ".join(vae_lessons(_with_totals(result, taught=20.0, small=18.0, narrows=15.0)))
    assert f"That is {result.independent - 20:.1f} less than under a model of independent pixels" in better
    assert "cost 18.0 nats, 2.0 less than the network as taught" in better
    assert "cost 15.0, 3.0 less than 2 numbers" in better
    worse = " ".join(vae_lessons(_with_totals(result, taught=40.0, small=41.0, narrows=41.0)))
    assert f"That is {40 - result.independent:.1f} more than under a model of independent pixels" in worse
    assert "here the network describes images worse" in worse
    assert "1.0 more than the network as taught" in worse
    assert "cost 41.0, which 360 test images do not tell from 2 numbers" in worse
    same = " ".join(vae_lessons(_with_totals(result, taught=result.independent)))
    assert "the code has gained nothing" in same
    sharp = " ".join(vae_lessons(replace(result, floor=0.01)))
    assert "close to a likelihood" in sharp


def test_lessons_turn_with_the_training(result):
    def ending(*losses):
        records = [{"epoch": number, "val_total_loss": loss} for number, loss in enumerate(losses)]

        class Model:
            history_ = records

        exhibits = replace(result.exhibits, models=result.exhibits.models | {"taught": Model()})
        return " ".join(vae_lessons(replace(result, exhibits=exhibits)))

    assert "overfits: on held-out images its loss was lowest after 1 passes" in ending(30, 20, 22, 25)
    assert "still learning when it stopped: the last fifth of its passes saved 4.00" in ending(30, 28, 26, 24, 20)
    assert "all but stopped learning" in ending(30, 20, 20, 20, 20)


def test_lessons_turn_with_the_rest(result):
    used = " ".join(vae_lessons(_with(result, narrows={"n_active": 4, "warning": "only so much"})))
    assert "All 4 numbers of the larger code are used" in used
    assert "Narrows, 4 numbers: narrows warned that only so much." in used
    idle = " ".join(vae_lessons(_with(result, narrows={"n_active": 1})))
    assert "Of the 4 numbers of the larger code 1 is used" in idle
    plain = result.simple_error("autoencoder", 4)
    paid = " ".join(vae_lessons(_with(result, narrows={"test_mse": 2 * plain})))
    assert "what can be sampled from is paid for" in paid
    free = " ".join(vae_lessons(_with(result, narrows={"test_mse": plain / 2})))
    assert "has not harmed rebuilding" in free
    near = " ".join(vae_lessons(_with(result, narrows={"importance": 20.0, "importance_total": 20.1})))
    assert "close to what it bounds" in near
    far = " ".join(vae_lessons(_with(result, narrows={"importance": 20.0, "importance_total": 23.0})))
    assert "at least 3.0 nats from what it bounds" in far


def test_lessons_turn_with_the_samples(result):
    def told(pca, normal, mixture, rebuilt, read=0.5):
        changed = {
            ("pca", "mixture"): {"distance": pca, "error": 0.1, "read": 0.5},
            ("narrows", "normal"): {"distance": normal, "error": 0.1},
            ("narrows", "mixture"): {"distance": mixture, "error": 0.1, "read": read},
            ("narrows", "rebuilt"): {"distance": rebuilt},
        }
        return " ".join(vae_lessons(_with(result, changed)))

    good = told(pca=8.0, normal=6.0, mixture=2.0, rebuilt=1.5, read=0.9)
    assert "6.0 with the normal prior, 2.0 with a mixture (nearer)" in good
    assert "the network is worth its training" in good
    assert "more of the distance comes from the decoder, which blurs" in good
    assert "read as meant more often" in good
    bad = told(pca=1.0, normal=2.0, mixture=3.0, rebuilt=1.0, read=0.1)
    assert "3.0 with a mixture (farther)" in bad
    assert "for sampling alone PCA is the better answer" in bad
    assert "more of the distance comes from the prior" in bad
    assert "read as meant less often" in bad
    level = told(pca=2.1, normal=2.0, mixture=2.1, rebuilt=1.0)
    assert "2.1 with a mixture (not to be told apart)" in level
    assert "sampling alone does not need the network" in level
    assert "read as meant about as often" in level


# --- what samples are measured by


def test_frechet_distance_is_its_closed_form():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(500, 3))
    points = (points - points.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(points, rowvar=False))).T
    stretched = points * [1.0, 2.0, 3.0] + [1.0, 0.0, 0.0]
    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-9)
    # Of white points: the shift, squared, and the differences of the standard deviations, squared.
    assert frechet_distance(points, stretched) == pytest.approx(1 + 1 + 4, rel=1e-6)
    assert frechet_distance(stretched, points) == pytest.approx(6, rel=1e-6)
    assert frechet_distance(points[:, :1], points[:, :1] * 2) == pytest.approx(1, rel=1e-6)


def test_the_reader_reads_what_it_has_not_seen(digits):
    train, test, labels, test_labels = digits
    reader = Reader.train(train.reshape(-1, 8, 8), labels, hidden=16, epochs=60, seed=0)
    assert (reader.read(test.reshape(-1, 8, 8)) == test_labels).mean() > 0.85
    assert reader.features(test).shape == (360, 16)
    unseen = reader.features(train[unseen_from(len(train)) :])
    blurred = reader.features(test * 0 + train.mean(0))
    assert frechet_distance(unseen, reader.features(test)) < 0.1 * frechet_distance(blurred, reader.features(test))


def test_images_sampled_from_pca_have_their_digit(digits):
    train, _, labels, _ = digits
    linear = LinearGenerator.fit(train.reshape(-1, 8, 8), labels, 8, 0)
    zeros = linear.sample(200, y=0, random_state=1)
    assert zeros.shape == (200, 8, 8)
    own, others = (train[mask].mean(0).reshape(8, 8) for mask in (labels == 0, labels != 0))
    assert np.square(zeros.mean(0) - own).mean() < 0.1 * np.square(zeros.mean(0) - others).mean()
    assert np.array_equal(zeros, linear.sample(200, y=0, random_state=1))


# --- the command


@pytest.fixture
def command(result, monkeypatch):
    """Run the command on the result that is there already."""

    def instead(data, *, seed, progress):
        progress("fitting", "")
        return replace(result, seed=seed, data=data)

    monkeypatch.setattr("narrows.labs.run_vae_lab", instead)
    app = typer.Typer()
    app.command("lab")(lab)
    return lambda *words: CliRunner().invoke(app, list(words), env={"COLUMNS": "80", "TERM": "dumb"})


def test_command_prints_numbers_and_writes_the_report(command, result, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "report.html"
    ran = command("vae", "--out", str(out))
    assert ran.exit_code == 0, ran.output
    assert "Variational autoencoders: the lab on digits" in ran.stdout
    assert "…" not in ran.stdout
    for entry in result.entries:
        assert re.search(rf"{entry.name} .*{entry.total:.1f}", ran.stdout)
        assert re.search(rf"{entry.name} +{entry.test_mse:.4f}", ran.stdout)
    assert "What this says" in ran.stdout
    assert "fitting" in ran.stderr
    text = out.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.count("<figure>") == text.count("<figcaption>") == 10
    assert text.count("<table>") == 3
    assert "http" not in text.split("The data")[0]


def test_command_prints_json_alone(command):
    ran = command("vae", "--data", "mnist", "--json", "--no-report", "--seed", "3")
    found = json.loads(ran.stdout)
    assert found["report"] is None
    assert (found["seed"], found["data"]) == (3, "mnist")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("digits", "--data", "mnist"), "--data is for the labs vae and movies"),
        (("mnist", "--data", "mnist"), "--data is for the labs vae and movies"),
        (("vae", "--data", "emnist"), "runs on digits or mnist, not on 'emnist'"),
        (("emnist",), "There is no lab 'emnist'; there are digits, mnist, vae, anomalies and movies"),
        (("vae", "--out", "no/such/folder/report.html"), "does not exist"),
    ],
)
def test_command_refuses_before_it_works(command, words, message):
    ran = command(*words)
    assert isinstance(ran.exception, DataError)
    assert message in str(ran.exception)
    assert "fitting" not in ran.output
