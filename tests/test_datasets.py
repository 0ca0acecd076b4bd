"""Data sets: the right content or a clear error, from wherever it comes."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import os
import re
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from narrows import datasets
from narrows.datasets import download, records
from narrows.errors import DataError, DownloadError


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    """No test sees the user's folders, nor a proxy."""
    monkeypatch.setenv("NARROWS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "TIMEOUT", 5.0)


@pytest.fixture
def no_own_data(monkeypatch):
    monkeypatch.delenv("NARROWS_DATA", raising=False)


class Server:
    """A web server on this machine that can be told to behave badly."""

    def __init__(self, files):
        self.files = files
        self.ranges = True
        self.cuts: list[int] = []  # bytes after which the next answers break off
        self.status = None
        self.wrong_range = False
        self.requests: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, request):
        name = request.path.lstrip("/")
        asked = request.headers.get("Range")
        self.requests.append((name, asked))
        if self.status or name not in self.files:
            request.send_error(self.status or 404)
            return
        content = self.files[name]
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.ranges else 0
        if start >= len(content):
            request.send_error(416)
            return
        body = content[start:]
        request.send_response(206 if asked and self.ranges else 200)
        request.send_header("Content-Length", str(len(body)))
        if asked and self.ranges:
            stated = start + 1 if self.wrong_range else start
            request.send_header("Content-Range", f"bytes {stated}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        request.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


TOY = {
    "train-images.gz": np.random.default_rng(0).integers(0, 256, (40, 4, 5)).astype(np.uint8),
    "train-labels.gz": np.arange(40, dtype=np.uint8) % 10,
    "test-images.gz": np.random.default_rng(1).integers(0, 256, (10, 4, 5)).astype(np.uint8),
    "test-labels.gz": np.arange(10, dtype=np.uint8),
}
PACKED = {name: gzip.compress(idx(array), mtime=0) for name, array in TOY.items()}


def register(monkeypatch, addresses, packed_hash=False):
    """Put a small data set among the records."""
    files = tuple(
        records.RemoteFile(name, md5_file=md5(PACKED[name]))
        if packed_hash
        else records.RemoteFile(name, md5_content=md5(idx(array)))
        for name, array in TOY.items()
    )
    record = dataclasses.replace(
        records.RECORDS["mnist"],
        name="toy",
        n_train=40,
        n_test=10,
        shape=(4, 5),
        addresses=tuple(addresses),
        files=files,
    )
    monkeypatch.setitem(records.RECORDS, "toy", record)
    return record


@pytest.fixture
def server(monkeypatch, no_own_data):
    server = Server(dict(PACKED))
    register(monkeypatch, [server.address])
    yield server
    server.close()


def assert_is_toy(found):
    for part, name in (("train", "train-images.gz"), ("test", "test-images.gz")):
        np.testing.assert_array_equal(getattr(found, part), TOY[name].reshape(len(TOY[name]), -1))
    np.testing.assert_array_equal(found.train_labels, TOY["train-labels.gz"])
    np.testing.assert_array_equal(found.test_labels, TOY["test-labels.gz"])
    assert found.shape == (4, 5)


# ---------------------------------------------------------------- what there is


def test_names_and_descriptions():
    assert datasets.names() == ["digits", "fashion-mnist", "mnist"]
    for name in datasets.names():
        record = datasets.describe(name)
        assert record.name == name
        assert all((record.summary, record.licence, record.citation))
        assert bool(record.files) == bool(record.addresses) == bool(record.megabytes)
        for file in record.files:
            known = [h for h in (file.md5_content, file.md5_file) if h]
            assert len(known) == 1
            assert re.fullmatch("[0-9a-f]{32}", known[0])


@pytest.mark.parametrize("function", [datasets.load, datasets.describe])
def test_unknown_name(function):
    with pytest.raises(DataError, match=r"no data set 'minst'; there are digits, .*Did you mean 'mnist'\?"):
        function("minst")


def test_digits():
    digits = datasets.load("digits")
    assert (digits.train.shape, digits.test.shape, digits.shape) == ((1437, 64), (360, 64), (8, 8))
    assert digits.train.dtype == digits.test.dtype == digits.train_labels.dtype == np.uint8
    assert digits.train.max() == 16
    assert digits.source == "embedded"
    # The same share of each digit, and together the whole set.
    share = np.bincount(digits.test_labels) / np.bincount(digits.train_labels)
    assert share.min() > 0.23
    assert share.max() < 0.27
    assert np.bincount(np.concatenate([digits.train_labels, digits.test_labels])).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]


def test_the_split_of_digits_is_the_same_for_ever():
    digits = datasets.load("digits")
    assert md5(digits.test.tobytes() + digits.test_labels.tobytes()) == "d7e8984197c789525ffe16d28ac0367e"


def test_digits_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    datasets.load("digits")
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# ---------------------------------------------------------------- downloading


def test_download_then_cache(server, tmp_path):
    found = datasets.load("toy")
    assert_is_toy(found)
    assert found.source == server.address
    n_requests = len(server.requests)
    assert n_requests == 4
    again = datasets.load("toy")
    assert_is_toy(again)
    assert again.source == str(tmp_path / "cache" / "toy")
    assert len(server.requests) == n_requests
    assert not list((tmp_path / "cache" / "toy").glob("*.part"))


def test_a_cut_connection_is_resumed(server):
    server.cuts = [100, 50]
    assert_is_toy(datasets.load("toy"))
    assert server.requests[:3] == [
        ("train-images.gz", None),
        ("train-images.gz", "bytes=100-"),
        ("train-images.gz", "bytes=150-"),
    ]


def test_a_later_call_resumes(server, tmp_path):
    server.cuts = [100, 0]
    with pytest.raises(DownloadError, match=r"ended after 100 of \d+ bytes"):
        datasets.load("toy")
    part = tmp_path / "cache" / "toy" / "train-images.gz.part"
    assert part.read_bytes() == PACKED["train-images.gz"][:100]
    server.requests.clear()
    assert_is_toy(datasets.load("toy"))
    assert server.requests[0] == ("train-images.gz", "bytes=100-")


def test_a_server_without_ranges_begins_anew(server):
    server.ranges = False
    server.cuts = [100]
    assert_is_toy(datasets.load("toy"))
    assert server.requests[:2] == [("train-images.gz", None), ("train-images.gz", "bytes=100-")]


def test_a_server_without_ranges_and_more_left_than_there_is(server, tmp_path):
    server.ranges = False
    folder = tmp_path / "cache" / "toy"
    folder.mkdir(parents=True)
    (folder / "train-images.gz.part").write_bytes(b"x" * 5000)
    assert_is_toy(datasets.load("toy"))
    assert [name for name, _ in server.requests].count("train-images.gz") == 1


def test_a_server_that_sends_another_range(server):
    server.cuts = [100]
    server.wrong_range = True
    with pytest.raises(DownloadError, match=r"bytes 101-.* when asked for bytes 100-"):
        datasets.load("toy")


def test_a_server_that_never_finishes(server, monkeypatch):
    server.cuts = [10] * 50
    with pytest.raises(DownloadError, match="again and again"):
        datasets.load("toy")
    assert len(server.requests) == download._RESUMPTIONS


@pytest.mark.parametrize("left", [b"something else", PACKED["train-images.gz"], PACKED["train-images.gz"] + b"more"])
def test_what_an_old_transfer_left(left, server, tmp_path):
    folder = tmp_path / "cache" / "toy"
    folder.mkdir(parents=True)
    (folder / "train-images.gz.part").write_bytes(left)
    assert_is_toy(datasets.load("toy"))


def test_wrong_content(server, tmp_path):
    server.files["train-labels.gz"] = gzip.compress(b"not what it should be")
    with pytest.raises(DownloadError, match=r"train-labels\.gz could not be downloaded .*MD5 of its content is"):
        datasets.load("toy")
    assert not (tmp_path / "cache" / "toy" / "train-labels.gz").exists()
    assert not (tmp_path / "cache" / "toy" / "train-labels.gz.part").exists()


def test_a_page_instead_of_the_file(server):
    # What a hotel's network gives for every address.
    server.files["train-images.gz"] = b"<html>please log in</html>"
    with pytest.raises(DownloadError, match="is not the right file"):
        datasets.load("toy")


def test_mirrors_are_tried_in_turn(server, monkeypatch):
    other = Server({**PACKED, "train-images.gz": b"spoilt"})
    try:
        register(monkeypatch, [other.address + "absent", other.address, server.address])
        found = datasets.load("toy")
        assert_is_toy(found)
        assert [name for name, _ in server.requests] == ["train-images.gz"]
    finally:
        other.close()


def test_a_refusal_names_the_answer(server):
    server.status = 503
    with pytest.raises(DownloadError, match="the server answered 503"):
        datasets.load("toy")


def test_offline(monkeypatch, no_own_data, tmp_path):
    closed = Server({})
    closed.close()
    register(monkeypatch, [closed.address])
    with pytest.raises(DownloadError) as caught:
        datasets.load("toy")
    message = str(caught.value)
    assert closed.address + "train-images.gz: Connection refused" in message
    assert str(tmp_path / "cache" / "toy") in message
    assert "NARROWS_DATA" in message
    assert not list((tmp_path / "cache" / "toy").glob("*.part"))


def test_silence_ends_in_a_timeout(monkeypatch, server):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    monkeypatch.setattr(server, "answer", lambda request: time.sleep(0.6))
    with pytest.raises(DownloadError, match="timed out"):
        datasets.load("toy")


def test_only_the_web(monkeypatch, no_own_data, tmp_path):
    (tmp_path / "train-images.gz").write_bytes(PACKED["train-images.gz"])
    register(monkeypatch, [tmp_path.as_uri()])
    with pytest.raises(DownloadError, match="not an http address"):
        datasets.load("toy")


def test_a_cache_that_cannot_be_written(monkeypatch, server, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NARROWS_CACHE", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match=r"cannot be written to .*NARROWS_CACHE"):
        datasets.load("toy")


def test_several_at_once(server):
    found = []
    threads = [threading.Thread(target=lambda: found.append(datasets.load("toy"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for each in found:
        assert_is_toy(each)
    assert len(server.requests) == 4


@pytest.mark.parametrize("progress", [None, False, True])
def test_the_bar_is_shown_when_asked_for(progress, server, capfd):
    datasets.load("toy", progress=progress)
    assert ("train-images.gz" in capfd.readouterr().err) == (progress is True)


# ---------------------------------------------------------------- files that are there already


def test_a_damaged_file_in_the_cache_is_fetched_again(server, tmp_path):
    datasets.load("toy")
    kept = tmp_path / "cache" / "toy" / "test-images.gz"
    kept.write_bytes(kept.read_bytes()[:-5])
    assert_is_toy(datasets.load("toy"))
    assert kept.read_bytes() == PACKED["test-images.gz"]


@pytest.mark.parametrize("packed", ["as published", "anew", "not"])
def test_own_folder_comes_first(packed, monkeypatch, tmp_path):
    register(monkeypatch, ["http://127.0.0.1:9/"])
    folder = tmp_path / "own" / "toy"
    folder.mkdir(parents=True)
    monkeypatch.setenv("NARROWS_DATA", str(tmp_path / "own"))
    for name, array in TOY.items():
        if packed == "not":
            (folder / name.removesuffix(".gz")).write_bytes(idx(array))
        else:
            (folder / name).write_bytes(PACKED[name] if packed != "anew" else gzip.compress(idx(array), 1, mtime=7))
    found = datasets.load("toy")
    assert_is_toy(found)
    assert found.source == str(folder)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", [b"spoilt", PACKED["train-images.gz"][:-9], PACKED["test-images.gz"]])
def test_a_wrong_file_in_ones_own_folder_is_named_and_kept(content, monkeypatch, server, tmp_path):
    folder = tmp_path / "own" / "toy"
    folder.mkdir(parents=True)
    monkeypatch.setenv("NARROWS_DATA", str(tmp_path / "own"))
    (folder / "train-images.gz").write_bytes(content)
    with pytest.raises(DownloadError, match=re.escape(str(folder / "train-images.gz"))):
        datasets.load("toy")
    assert (folder / "train-images.gz").read_bytes() == content
    assert server.requests == []


def test_checksums_of_packed_files(monkeypatch, tmp_path):
    register(monkeypatch, ["http://127.0.0.1:9/"], packed_hash=True)
    folder = tmp_path / "own" / "toy"
    folder.mkdir(parents=True)
    monkeypatch.setenv("NARROWS_DATA", str(tmp_path / "own"))
    for name in TOY:
        (folder / name).write_bytes(PACKED[name])
    assert_is_toy(datasets.load("toy"))
    first = folder / "train-images.gz"
    first.write_bytes(gzip.compress(idx(TOY[first.name]), 1, mtime=7))
    with pytest.raises(DownloadError, match="MD5 of its packed file"):
        datasets.load("toy")
    first.unlink()
    (folder / "train-images").write_bytes(idx(TOY[first.name]))
    with pytest.raises(DownloadError, match=r"only the packed file can be checked: put train-images\.gz there"):
        datasets.load("toy")


def test_checksums_in_the_wrong_places(monkeypatch, server):
    record = records.RECORDS["toy"]
    monkeypatch.setitem(records.RECORDS, "toy", dataclasses.replace(record, files=record.files[::-1]))
    with pytest.raises(DownloadError, match="arrays of shapes"):
        datasets.load("toy")


def test_the_cache_folder(monkeypatch, tmp_path):
    assert download.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("NARROWS_CACHE")
    monkeypatch.setattr(download.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert download.cache_folder() == tmp_path / "xdg" / "narrows"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert download.cache_folder() == tmp_path / ".cache" / "narrows"


@pytest.mark.skipif(not os.environ.get("NARROWS_DATA"), reason="NARROWS_DATA is not set")
def test_the_real_mnist():
    mnist = datasets.load("mnist")
    assert (mnist.train.shape, mnist.test.shape) == ((60_000, 784), (10_000, 784))
    assert mnist.train.dtype == np.uint8
    assert mnist.train_labels[:5].tolist() == [5, 0, 4, 1, 9]


# ---------------------------------------------------------------- made-up data


def test_manifold_is_a_curved_surface_of_few_dimensions():
    rows, latent = datasets.make_manifold(3000, 20, 2, noise=0.0, random_state=0, return_latent=True)
    assert rows.shape == (3000, 20)
    assert latent.shape == (3000, 2)
    variances = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
    # A plane of two dimensions leaves a good part out ...
    assert variances[2:].sum() > 0.1 * variances.sum()
    # ... but rows of neighbouring latent numbers are neighbours.
    near = np.argsort(((latent - latent[0]) ** 2).sum(axis=1))[1]
    spread = ((rows - rows.mean(axis=0)) ** 2).sum(axis=1).mean()
    assert ((rows[near] - rows[0]) ** 2).sum() < 0.02 * spread
    assert 0.5 < rows.std() < 1.5


def test_manifold_noise_has_the_size_asked_for():
    clean = datasets.make_manifold(500, 10, noise=0.0, random_state=3)
    noisy = datasets.make_manifold(500, 10, noise=0.3, random_state=3)
    assert (noisy - clean).std() == pytest.approx(0.3, rel=0.05)


def test_manifold_depends_on_its_seed_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    same = [datasets.make_manifold(20, random_state=1) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert not np.array_equal(same[0], datasets.make_manifold(20, random_state=2))
    for make in (np.random.default_rng, np.random.RandomState):
        np.testing.assert_array_equal(
            datasets.make_manifold(20, random_state=make(4)), datasets.make_manifold(20, random_state=make(4))
        )
    datasets.make_manifold(20)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_more_rows_lie_on_the_same_manifold():
    few = datasets.make_manifold(10, noise=0.0, random_state=5)
    many = datasets.make_manifold(100, noise=0.0, random_state=5)
    np.testing.assert_allclose(many[:10], few)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": 0}, "n_samples must be at least 1"),
        ({"n_features": 0}, "n_features must be at least 1"),
        ({"n_latent": 0}, "n_latent must be at least 1"),
        ({"noise": -1.0}, "noise must not be negative"),
        ({"noise": float("nan")}, "noise must not be negative"),
    ],
)
def test_bad_manifolds(options, message):
    with pytest.raises(ValueError, match=message):
        datasets.make_manifold(**options)
