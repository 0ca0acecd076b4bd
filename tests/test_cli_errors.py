"""What the command line says to mistakes: exit code 2 and one line, whatever was typed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import narrows
from narrows import tables
from narrows.cli import main

NAMES = ["age", "height", "weight"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli_errors")
    X = narrows.datasets.make_manifold(60, 3, n_latent=1, random_state=0)
    tables.write(folder / "people.csv", X, columns=NAMES)
    tables.write(folder / "people.npz", X)
    tables.write(folder / "wide.npy", np.ones((4, 7)))
    tables.write(folder / "codes3.csv", np.ones((4, 3)))
    tables.write(folder / "few.csv", X[:, :2], columns=NAMES[:2])
    (folder / "text.csv").write_text("name,age\nAda,1\nBo,2\n")
    (folder / "gaps.csv").write_text("age,height\n1,2\n3,\n5,6\n")
    (folder / "empty.csv").write_text("")
    (folder / "notes.txt").write_text("hello")
    (folder / "cut.narrows").write_bytes(b"abc")
    (folder / "folder").mkdir()
    arguments = ["fit", folder / "people.csv", "-o", folder / "good.narrows", "--max-epochs", "1", "-q"]
    assert main([str(argument) for argument in arguments]) == 0
    (folder / "half.narrows").write_bytes((folder / "good.narrows").read_bytes()[:-50])
    return folder


FIT = "fit people.csv -o m.narrows "
MISTAKES = [
    ("fit", "Missing argument"),
    ("fit people.csv", "Missing option"),
    ("fiit people.csv", "No such command"),
    ("fit people.csv -o m.narrows --bogus 3", "No such option"),
    ("fit digts -o m.narrows", "Did you mean 'digits'?"),
    ("fit digits:tset -o m.narrows", "train and test"),
    ("fit digits -o m.narrows --columns 1,2", "--columns is for files"),
    ("fit nowhere.csv -o m.narrows", "nowhere.csv does not exist"),
    ("fit folder -o m.narrows", "is a folder"),
    ("fit empty.csv -o m.narrows", "empty.csv is empty"),
    ("fit notes.txt -o m.narrows", "of a kind narrows does not read"),
    ("fit text.csv -o m.narrows", "Ada"),
    ("fit gaps.csv -o m.narrows", "missing values in column 'height': fit with --missing mask"),
    ("fit people.csv -o nowhere/m.narrows", "does not exist"),
    ("fit people.csv -o folder", "is a folder"),
    ("fit people.csv -o m.csv", "is a name for data"),
    ("fit people.npz -o m.narrows --stream", "cannot be read in pieces"),
    (FIT + "--columns age,size", "no column named 'size'"),
    (FIT + "--columns age --stream", "do not go together"),
    (FIT + "--model forest", "known are autoencoder"),
    (FIT + "--n-components 0", "n_components must be a whole number of at least 1"),
    (FIT + "--n-components two", "n_components must be a whole number"),
    (FIT + "--learning-rate -1", "learning_rate must be a number above 0"),
    (FIT + "--validation-fraction 1.5", "below 1"),
    (FIT + "--max-seconds soon", "--max-seconds must be a number or none"),
    (FIT + "--random-state x", "--random-state must be a whole number or none"),
    (FIT + "--checkpoint-seconds x", "--checkpoint-seconds"),
    (FIT + "--scaling minmax", "--scaling must be common or standard or none"),
    (FIT + "--device abacus", "abacus"),
    (FIT + "--network cnn", "--network 'cnn' is unknown; known are convolutional, dense"),
    (FIT + "--network modules", "is unknown"),
    (FIT + "--network dense(hiden=3)", "has no setting 'hiden'; it has hidden, activation"),
    (FIT + "--network dense(hidden=3,hidden=4)", "'hidden' twice"),
    (FIT + "--network dense(3,hidden=4)", "'hidden' twice"),
    (FIT + "--network dense(hidden=-3)", "hidden must be"),
    (FIT + "--network dense(activation=swoosh)", "activation must be one of"),
    (FIT + "--network dense(hidden=open('x'))", "cannot be read"),
    (FIT + "--network dense(hidden=(3)", "cannot be read"),
    (FIT + "--network dense(hidden=3)(4)", "cannot be read"),
    (FIT + "--network dense(**x)", "has no setting"),
    (FIT + "--network __import__('os')", "is unknown"),
    (FIT + "--corruption gaussian(sigma=loud)", "sigma must be a number, got 'loud'"),
    (FIT + "--corruption gaussian(-1)", "sigma must be 0 or more"),
    (FIT + "--corruption gaussian(1,2,3)", "was given 3 settings; it has sigma, clip"),
    (FIT + "--likelihood poisson", "known are auto, bernoulli, discretisedlogistic, gaussian"),
    (FIT + "--schedule constant(3)", "it has none"),
    ("encode people.csv -m good.narrows", "Missing option"),
    ("encode people.csv -m good.narrows -o c.txt", "does not write"),
    ("encode people.csv -m good.narrows -o c.csv.gz", "does not write"),
    ("encode people.csv -m good.narrows -o nowhere/c.csv", "does not exist"),
    ("encode people.csv -m good.narrows -o people.csv", "would be replaced"),
    ("encode people.csv -m nowhere.narrows -o c.csv", "nowhere.narrows"),
    ("encode people.csv -m cut.narrows -o c.csv", "cut.narrows"),
    ("encode people.csv -m half.narrows -o c.csv", "half.narrows"),
    ("encode people.csv -m people.npz -o c.csv", "people.npz"),
    ("encode people.csv -m good.narrows -o c.csv --device abacus", "abacus"),
    ("encode wide.npy -m good.narrows -o c.csv", "wide.npy has 7 columns, but the model was fitted to 3 columns"),
    ("encode few.csv -m good.narrows -o c.csv", "lacks the column 'weight'"),
    ("encode digits -m good.narrows -o c.csv", "64 columns"),
    ("decode codes3.csv -m good.narrows -o c.csv", "codes3.csv has 3 columns, but a code of this model has 2"),
    ("decode nowhere.csv -m good.narrows -o c.csv", "does not exist"),
    ("reconstruct few.csv -m good.narrows -o c.csv", "lacks the column"),
    ("score few.csv -m good.narrows", "lacks the column"),
    ("info people.csv", "people.csv"),
    ("info nowhere.narrows", "nowhere.narrows"),
    ("info folder", "folder"),
]


@pytest.mark.parametrize(("line", "expected"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_line_and_leaves_nothing(home, monkeypatch, capsys, line, expected):
    monkeypatch.chdir(home)
    before = {file.name: file.stat().st_mtime_ns for file in home.iterdir()}
    code = main(line.split())
    printed = capsys.readouterr()
    assert code == 2, printed
    assert printed.out == ""
    [message] = printed.err.splitlines()
    assert message.startswith("narrows: ")
    assert {file.name: file.stat().st_mtime_ns for file in home.iterdir()} == before


def test_places_are_checked_before_the_work(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setattr("narrows.cli.files.read_data", None)
    monkeypatch.setattr("narrows.cli.files.load_model", None)
    table = "encode people.csv -m good.narrows -o c.txt"
    for line in ("fit people.csv -o m.csv", "fit people.csv -o nowhere/m", table):
        assert main(line.split()) == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [(RuntimeError("a fault"), 70), (MemoryError(), 2), (PermissionError(13, "Permission denied", "people.csv"), 2)],
)
def test_whatever_is_raised_is_one_line(home, monkeypatch, capsys, error, code):
    monkeypatch.chdir(home)

    def broken(*_args, **_kwargs):
        raise error

    monkeypatch.setattr("narrows.autoencoder.Autoencoder.fit", broken)
    assert main((FIT + "-q").split()) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("verb", ["fit {} -o m.narrows", "score {} -m good.narrows", "compare {}", "anomalies {}"])
def test_a_file_that_claims_more_rows_than_memory_holds(home, monkeypatch, capsys, verb):
    monkeypatch.chdir(home)
    with (home / "claims.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 3)})
    assert main(verb.format("claims.npy").split()) == 2
    assert "claims.npy" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="pipes and signals")
@pytest.mark.parametrize("redirect", ["| true", ">&-"])
def test_an_output_that_nobody_reads(home, redirect):
    line = f"{sys.executable} -m narrows info good.narrows --json {redirect}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == (141 if redirect == "| true" else 0)
    assert done.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_sigterm_unwinds_and_leaves_nothing(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    before, unwound = set(home.iterdir()), []

    def terminated(*_args, **_kwargs):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            unwound.append(True)

    monkeypatch.setattr("narrows.autoencoder.Autoencoder.fit", terminated)
    assert main((FIT + "-q").split()) == 143
    assert unwound
    assert set(home.iterdir()) == before
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_ctrl_c_with_nothing_to_save_is_130(home, monkeypatch, capsys):
    monkeypatch.chdir(home)

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("narrows.autoencoder.Autoencoder.fit", interrupted)
    assert main((FIT + "-q").split()) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not (home / "m.narrows").exists()


def test_a_file_name_is_not_taken_for_markup(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    assert main(["encode", "people.csv", "-m", "good.narrows", "-o", "[red]codes.csv"]) == 0
    assert "[red]codes.csv" in capsys.readouterr().out
    (home / "[red]codes.csv").unlink()
