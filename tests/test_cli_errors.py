"""What the command line says to mistakes: exit code 2 and one line, whatever was typed."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import narrows
import plain_tables as tables
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


def test_mistakes_are_one_line_and_leave_nothing(home, refuse):
    refuse(
        """
        fit ~
        fit people.csv ~
        fiit people.csv ~
        fit people.csv -o m.narrows --bogus 3 ~
        fit digts -o m.narrows ~
        fit digits:tset -o m.narrows ~
        fit digits -o m.narrows --columns 1,2
        fit nowhere.csv -o m.narrows
        fit folder -o m.narrows
        fit empty.csv -o m.narrows
        fit notes.txt -o m.narrows ~
        fit gaps.csv -o m.narrows --missing error ~
        fit people.csv | -o nowhere/m.narrows ~ ; -o folder ; -o m.csv ~
        fit people.npz -o m.narrows --stream ~
        fit people.csv -o m.narrows | --columns age,size ; --model forest ~
        fit people.csv -o m.narrows | --n-components 0 ~ ; --n-components two ~ ; --learning-rate -1 ~
        fit people.csv -o m.narrows | --validation-fraction 1.5 ~ ; --max-seconds soon ; --random-state x
        fit people.csv -o m.narrows | --checkpoint-seconds x ; --scaling minmax ; --device abacus ; --network cnn
        fit people.csv -o m.narrows | --network modules ~ ; --network dense(hiden=3)
        fit people.csv -o m.narrows | --network dense(hidden=3,hidden=4) ; --network dense(3,hidden=4)
        fit people.csv -o m.narrows | --network dense(hidden=-3) ; --network dense(activation=swoosh)
        fit people.csv -o m.narrows | --network dense(hidden=open('x')) ~ ; --network dense(hidden=(3) ~
        fit people.csv -o m.narrows | --network dense(hidden=3)(4) ~ ; --network dense(**x) ~
        fit people.csv -o m.narrows | --network __import__('os') ~ ; --corruption gaussian(sigma=loud)
        fit people.csv -o m.narrows | --corruption gaussian(-1) ~ ; --corruption gaussian(1,2,3) ~
        fit people.csv -o m.narrows | --likelihood poisson ~ ; --schedule constant(3) ~
        encode people.csv | -m good.narrows ~ ; -m good.narrows -o c.txt ~
        encode people.csv | -m good.narrows -o nowhere/c.csv ~ ; -m good.narrows -o people.csv ~
        encode people.csv | -m nowhere.narrows -o c.csv ; -m cut.narrows -o c.csv ; -m half.narrows -o c.csv
        encode people.csv | -m people.npz -o c.csv ; -m good.narrows -o c.csv --device abacus
        encode wide.npy -m good.narrows -o c.csv
        encode few.csv -m good.narrows -o c.csv ~
        encode digits -m good.narrows -o c.csv ~
        decode codes3.csv -m good.narrows -o c.csv
        decode nowhere.csv -m good.narrows -o c.csv ~
        reconstruct few.csv -m good.narrows -o c.csv ~
        score few.csv -m good.narrows ~
        info nowhere.narrows
        info folder
        """
    )


def test_places_are_checked_before_the_work(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setattr("narrows.cli.files.read_data", None)
    monkeypatch.setattr("narrows.cli.files.load_model", None)
    table = "encode people.csv -m good.narrows -o c.txt"
    for line in ("fit people.csv -o m.csv", "fit people.csv -o nowhere/m", table):
        assert main(line.split()) == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("a fault"), 70),
        (MemoryError(), 2),
        (OSError(13, "no", "x"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_whatever_is_raised_is_one_line(home, monkeypatch, capsys, error, code):
    monkeypatch.chdir(home)

    def broken(*_args, **_kwargs):
        raise error

    monkeypatch.setattr("narrows.autoencoder.Autoencoder.fit", broken)
    assert main((FIT + "-q").split()) == code
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (home / "m.narrows").exists()


@pytest.mark.parametrize("verb", ["fit {} -o m.narrows", "score {} -m good.narrows", "compare {}", "anomalies {}"])
def test_a_file_that_claims_more_rows_than_memory_holds(home, monkeypatch, capsys, verb):
    monkeypatch.chdir(home)
    with (home / "claims.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 3)})
    assert main(verb.format("claims.npy").split()) == 2


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


def test_a_file_name_is_not_taken_for_markup(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    assert main(["encode", "people.csv", "-m", "good.narrows", "-o", "[red]codes.csv"]) == 0
    (home / "[red]codes.csv").unlink()
