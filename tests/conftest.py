"""Shared data and the lists of every public estimator."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes side by side have a core each; torch looks at this when it is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import narrows
from narrows.cli import main

QUICK = {"max_epochs": 3, "random_state": 0}
THEMES = pytest.mark.parametrize("theme", ["light", "dark"])


def estimators() -> list:
    """Every public estimator with a code, set up to fit fast; test_laws.py checks that none is missing."""
    return [
        narrows.Autoencoder(2, **QUICK),
        narrows.Autoencoder(2, scaling="standard", missing="mask", **QUICK),
        narrows.Autoencoder(2, network=narrows.networks.Dense((8,), activation="relu", linear_path=False), **QUICK),
        narrows.Autoencoder(2, corruption="gaussian", optimizer="muon", early_stopping=False, **QUICK),
        narrows.Autoencoder(2, ordered=True, **QUICK),
        narrows.VariationalAutoencoder(2, **QUICK),
        narrows.VariationalAutoencoder(
            2, network=narrows.networks.Dense((8,), linear_path=False), prior="normal", scaling="common", **QUICK
        ),
    ]


def small_autoencoder() -> narrows.Autoencoder:
    """One to put into a detector: it is trained for a moment only."""
    return narrows.Autoencoder(
        2,
        max_epochs=1,
        scaling="none",
        early_stopping=False,
        validation_fraction=0.0,
        corruption=narrows.corruption.Swap(),
        random_state=0,
    )


def detectors() -> list:
    """Every public detector of anomalies, set up to fit fast, in every way it can be fitted."""
    quick = {"autoencoder": small_autoencoder(), "random_state": 0}
    return [
        narrows.AnomalyDetector(**quick),
        narrows.AnomalyDetector(method=("neighbors", "ranks", "reconstruction"), n_reference=150, **quick),
        narrows.AnomalyDetector(method="reconstruction", **quick),
        narrows.AnomalyDetector(contamination=0.1, **quick),
        narrows.AnomalyDetector(method=("ranks", "reconstruction"), contamination="auto", n_neighbors=7, **quick),
    ]


def recommenders() -> list:
    """Every public recommender, set up to fit fast, in every way it can rank."""
    ways = narrows.recommend
    quick = {"validation_fraction": 0, "random_state": 0}
    small = {"n_components": 6, "hidden": 5, "max_epochs": 2}
    return [
        narrows.Recommender(ways.Linear(l2=50.0, popularity=0.15), **quick),
        narrows.Recommender(ways.Linear(l2=50.0, popularity=0.15, rank=7), **quick),
        narrows.Recommender(ways.Multinomial(variational=False, **small), **quick),
        narrows.Recommender(ways.Multinomial(**small), **quick),
        narrows.Recommender(ways.Factors(6, iterations=3), **quick),
        narrows.Recommender(ways.Ensemble((ways.Linear(l2=50.0), ways.Factors(6), ways.Multinomial(**small))), **quick),
        narrows.Recommender(ways.Rating(n_components=3, n_features=3, iterations=4), **quick),
    ]


def codecs() -> list:
    """Return one codec of each kind, unfitted, quick to fit to ``curved`` (the pictures' one to 6 x 6 of anything)."""
    quick = {"random_state": 0}
    return [
        narrows.Codec(**quick),
        narrows.Codec(0.01, **quick),
        narrows.Codec(0.001, relative=True, **quick),
        narrows.Codec(code_only=True, n_components=2, **quick),
        narrows.Codec(image_shape=(2, 5), **quick),
    ]


@pytest.fixture(scope="session")
def films() -> narrows.datasets.Ratings:
    """A log of ratings with times, more users than films."""
    return narrows.datasets.make_ratings(130, 80, 2600, n_tastes=4, random_state=0)


@pytest.fixture(scope="session")
def curved() -> np.ndarray:
    """Rows on a curved surface of two dimensions in ten, with a little noise."""
    return narrows.datasets.make_manifold(700, 10, n_latent=2, noise=0.02, random_state=0)


@pytest.fixture(scope="session")
def plain() -> np.ndarray:
    """Normal rows with a decaying spectrum: nothing beats PCA here."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(400, 8)) * 0.6 ** np.arange(8) + rng.normal(size=8)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of public data sets, where there is one."""
    folder = os.environ.get("NARROWS_DATA")
    if not folder:
        pytest.skip("NARROWS_DATA is not set")
    return Path(folder)


def quiet(model: narrows.VariationalAutoencoder, *data) -> narrows.VariationalAutoencoder:
    """Fit without a word of how the model compares."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", narrows.NotBetterThanBaselineWarning)
        warnings.simplefilter("ignore", narrows.PosteriorCollapseWarning)
        return model.fit(*data)


@pytest.fixture(scope="session")
def digits():
    return load_digits()


@pytest.fixture(scope="session")
def binary(digits) -> np.ndarray:
    return (digits.data > 7).astype(np.float32)


@pytest.fixture(scope="session")
def of_binary(binary: np.ndarray) -> narrows.VariationalAutoencoder:
    return quiet(
        narrows.VariationalAutoencoder(6, network=narrows.networks.Dense((64,)), max_epochs=30, random_state=0), binary
    )


@pytest.fixture(scope="session")
def labelled(digits) -> narrows.VariationalAutoencoder:
    return quiet(narrows.VariationalAutoencoder(8, max_epochs=25, random_state=0), digits.data, digits.target)


@pytest.fixture
def run(capsys, monkeypatch, home):
    """Run a command line in the module's ``home``; give what it printed, after looking at the exit code."""

    monkeypatch.chdir(home)

    def call(*arguments, code=0):
        capsys.readouterr()
        found = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert found == code, printed.err
        return printed

    return call


@pytest.fixture
def refuse(capsys, monkeypatch, home):
    """Run command lines, each with a mistake: one line says so and names something that was typed; nothing is written.

    A line may have several ends, ``fit x.csv | --a 1 ; --b 2``; what ends in ``~`` names nothing.
    """

    def seen():
        return {file: file.stat().st_mtime_ns for file in home.rglob("*")}

    def call(lines):
        monkeypatch.chdir(home)
        before, wrong = seen(), []
        for line in filter(None, map(str.strip, lines.splitlines())):
            begin, _, ends = line.rpartition(" | ")
            for command in (f"{begin} {end}".split() for end in ends.split(" ; ")):
                unnamed = command[-1] == "~"
                typed = command[: len(command) - unnamed]
                code = main(typed)
                out, err = capsys.readouterr()
                # What was assumed of the data is said all the same.
                err = "".join(line for line in err.splitlines(keepends=True) if not line.startswith("Note: "))
                words = [word for part in typed for word in re.split(r"[=,()']+", part) if len(word) > 1]
                named = unnamed or any(word in err for word in words)
                if (code, out, err.count("\n"), err[:9], named) != (2, "", 1, "narrows: ", True) or seen() != before:
                    wrong.append((command, code, out, err))
        assert not wrong

    return call


@pytest.fixture(scope="module")
def one_thread():
    """What a file of tests is run with where it fits many small models, or compares numbers bit by bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def drawn(figure) -> bytes:
    """Draw a figure, as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()
