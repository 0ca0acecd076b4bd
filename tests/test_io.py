"""Files that are whole or not there, also where a signal ends the process in the midst of writing them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest

import narrows
from narrows.io.atomic import atomic_write
from narrows.io.container import read_tensors
from narrows.io.temporary import temporary_beside

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(os.name != "posix", reason="signals")


def run(code: str, folder: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=folder, stdout=subprocess.PIPE)


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_leaves_the_old_file_and_nothing_else(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    code = """
        import time
        from pathlib import Path
        from narrows.io.atomic import atomic_write
        from narrows.io.temporary import temporary_beside
        with atomic_write("file") as temporary, temporary_beside(Path("folder").resolve()) as folder:
            temporary.write_text("half")
            folder.mkdir()
            (folder / "one").touch()
            print(flush=True)
            time.sleep(60)
        """
    number = getattr(signal, name)
    with run(code, tmp_path) as process:
        assert process.stdout
        process.stdout.readline()
        assert len(list(tmp_path.iterdir())) == 3
        process.send_signal(number)
    assert process.returncode == -number
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


@posix
def test_signals_that_somebody_listens_to_are_left_to_them(tmp_path: Path) -> None:
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with atomic_write(tmp_path / "file") as temporary:
            signal.raise_signal(signal.SIGTERM)
            temporary.write_text("new")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
    assert (tmp_path / "file").read_text() == "new"
    with temporary_beside(tmp_path / "file"):
        assert signal.getsignal(signal.SIGTERM) is not before
        with temporary_beside(tmp_path / "other"):
            pass
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@posix
def test_a_forked_process_removes_nothing_of_its_parent(tmp_path: Path) -> None:
    code = """
        import os, signal
        from narrows.io.atomic import atomic_write
        with atomic_write("file") as temporary:
            temporary.write_text("whole")
            child = os.fork()
            if not child:
                signal.raise_signal(signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        """
    with run(code, tmp_path) as process:
        pass
    assert process.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


JOBS = {
    "fit": """
        model = narrows.Autoencoder(2, checkpoint="checkpoint", checkpoint_seconds=0, max_epochs=2, random_state=0)
        model.fit(X[:400])
        """,
    "save": 'narrows.load("wide").save("model")',
    "save a codec": 'narrows.load("codec").save("again")',
    "compress": 'narrows.load("codec").compress_file("X.npy", "X.nrw")',
    "decompress": 'narrows.load("codec").decompress_file("whole.nrw", "Y.npy")',
}
NAMES = {"X.npy", "wide", "codec", "whole.nrw", "checkpoint", "model", "again", "X.nrw", "Y.npy"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows, a model of some megabytes, a codec and rows that it compressed."""
    folder = tmp_path_factory.mktemp("desk")
    X = narrows.datasets.make_manifold(20_000, 6, n_latent=2, random_state=0)
    np.save(folder / "X.npy", X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", narrows.NotBetterThanBaselineWarning)
        network = narrows.networks.Dense((900, 900))
        narrows.Autoencoder(2, network=network, max_epochs=1, random_state=0).fit(X[:400]).save(folder / "wide")
        codec = narrows.Codec(0.01, random_state=0).fit(X[:3000])
    codec.save(folder / "codec")
    codec.compress_file(folder / "X.npy", folder / "whole.nrw")
    return folder


@posix
@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_kill_at_any_moment(job: str, desk: Path) -> None:
    """Each job runs over and over, is killed ten times, and leaves whole files or none."""
    code = f"""
        import warnings, numpy as np, narrows
        warnings.simplefilter("ignore")
        X = np.load("X.npy")
        print(flush=True)
        while True:
            {JOBS[job].strip()}
        """
    rng = np.random.default_rng(len(job))
    for _ in range(10):
        with run(code, desk) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(rng.uniform(0.0, 1.5))
            process.terminate()
        assert process.returncode == -signal.SIGTERM
        assert {path.name for path in desk.iterdir()} <= NAMES
    for name in NAMES & {path.name for path in desk.iterdir()}:
        path = desk / name
        if path.suffix == ".npy":
            assert len(np.load(path)) == 20_000
        elif path.suffix == ".nrw":
            assert np.abs(narrows.load(desk / "codec").decompress(path) - np.load(desk / "X.npy")).max() <= 0.01
        elif name == "checkpoint":
            read_tensors(path, "narrows checkpoint")
        else:
            narrows.load(path)
