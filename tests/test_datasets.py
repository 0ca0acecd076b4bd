"""Data sets: the right content or a clear error, from wherever it comes."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import os
import re
import struct
import threading
import time
import zipfile
from contextlib import contextmanager
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


TOY = {
    "train-images.gz": np.random.default_rng(0).integers(0, 256, (40, 4, 5)).astype(np.uint8),
    "train-labels.gz": np.arange(40, dtype=np.uint8) % 10,
    "test-images.gz": np.random.default_rng(1).integers(0, 256, (10, 4, 5)).astype(np.uint8),
    "test-labels.gz": np.arange(10, dtype=np.uint8),
}
PACKED = {name: gzip.compress(idx(array), mtime=0) for name, array in TOY.items()}
RATED = b"userId,movieId,rating,timestamp\n1,10,4.0,964982703\n1,30,0.5,964981247\n2,10,5.0,1445714835\n"
FILMS = (
    "movieId,title,genres\n"
    "10,Toy Story (1995),Animation|Comedy\n"
    '20,"American President, The (1995)",Comedy\n'
    '30,"""Great Performances"" Misérables (1971)",(no genres listed)\n'
).encode()
TITLES = {
    10: "Toy Story (1995)",
    20: "American President, The (1995)",
    30: '"Great Performances" Misérables (1971)',
}


def archive(ratings=RATED, films=FILMS, folder="toy-films", compression=zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as file:
        # Members that are of no use, and one that would leave the folder if it were unpacked.
        for name, content in (
            (f"{folder}/", b""),
            ("../outside.csv", b"x"),
            (f"{folder}/movies.csv", films),
            (f"{folder}/ratings.csv", ratings),
        ):
            file.writestr(name, content)
    return packed.getvalue()


class Server:
    """A web server on this machine that can be told to behave badly."""

    def __init__(self):
        self.files = {**PACKED, "toy-films.zip": archive()}
        self.cut = None  # bytes after which answers break off
        self.status, self.seconds = 200, 0.0
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/")
                outer.requests.append(name)
                time.sleep(outer.seconds)
                if outer.status >= 400 or name not in outer.files:
                    self.send_error(outer.status if outer.status >= 400 else 404)
                    return
                self.send_response(outer.status)
                if outer.status == 302:
                    self.send_header("Location", "/elsewhere")
                content = outer.files[name] if outer.status == 200 else b""
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: outer.cut])

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextmanager
def serving():
    server = Server()
    try:
        yield server
    finally:
        server.close()


def register(monkeypatch, *addresses, packed_hash=False, **changes):
    """Put a small data set and a small set of ratings among the records."""
    files = tuple(
        records.RemoteFile(
            name,
            len(PACKED[name]),
            len(idx(array)),
            md5(PACKED[name]),
            None if packed_hash else md5(idx(array)),
        )
        for name, array in TOY.items()
    )
    toy = {"name": "toy", "n_train": 40, "n_test": 10, "shape": (4, 5), "addresses": addresses, "files": files}
    monkeypatch.setitem(records.RECORDS, "toy", dataclasses.replace(records.RECORDS["mnist"], **toy))
    members = tuple(
        records.Member(name, md5(content), len(content))
        for name, content in (("ratings.csv", RATED), ("movies.csv", FILMS))
    )
    films = {"name": "toy", "folder": "toy-films", "n_users": 2, "n_items": 2, "n_ratings": 3}
    films |= {"addresses": addresses, "members": members, **changes}
    monkeypatch.setitem(records.RATINGS, "toy", dataclasses.replace(records.RATINGS["movielens-small"], **films))


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    """No test sees the user's folders, nor a proxy; plain http is for these tests alone."""
    monkeypatch.setenv("NARROWS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "TIMEOUT", 5.0)
    monkeypatch.setattr(download, "SCHEMES", ("https://", "http://127.0.0.1"))


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("NARROWS_DATA", raising=False)
    with serving() as server:
        register(monkeypatch, server.address)
        yield server


@pytest.fixture
def own(monkeypatch, tmp_path):
    """A folder of one's own, and no web."""
    monkeypatch.setenv("NARROWS_DATA", str(tmp_path / "own"))
    register(monkeypatch, "http://127.0.0.1:9/")
    for name in ("toy", "toy-films"):
        (tmp_path / "own" / name).mkdir(parents=True)
    return tmp_path / "own"


def assert_is_toy(found):
    for part, name in (("train", "train-images.gz"), ("test", "test-images.gz")):
        np.testing.assert_array_equal(getattr(found, part), TOY[name].reshape(len(TOY[name]), -1))
    np.testing.assert_array_equal(found.train_labels, TOY["train-labels.gz"])
    np.testing.assert_array_equal(found.test_labels, TOY["test-labels.gz"])
    assert found.shape == (4, 5)


def assert_is_films(found):
    assert found.user.tolist() == [1, 1, 2]
    assert found.item.tolist() == [10, 30, 10]
    assert found.rating.tolist() == [4.0, 0.5, 5.0]
    assert found.timestamp.tolist() == [964982703, 964981247, 1445714835]
    assert found.titles == TITLES


KINDS = {
    "images": (datasets.load, assert_is_toy, "toy", list(TOY)),
    "ratings": (datasets.load_ratings, assert_is_films, "toy-films", ["toy-films.zip"]),
}
each = pytest.mark.parametrize("kind", KINDS)


# What there is.


def test_names_and_descriptions():
    assert datasets.names() == ["digits", "fashion-mnist", "mnist"]
    for name, record in [*records.RECORDS.items(), *records.RATINGS.items()]:
        assert record.name == name
        assert all((record.summary, record.licence, record.citation))
        assert bool(record.addresses) == bool(record.megabytes)
        assert all(address.startswith("https://") and address.endswith("/") for address in record.addresses)
    for name in datasets.names():
        files = datasets.describe(name).files
        assert sum(file.n_bytes for file in files) / 1e6 == pytest.approx(datasets.describe(name).megabytes, abs=0.05)
        for value in [value for file in files for value in (file.md5, file.md5_content) if value]:
            assert re.fullmatch("[0-9a-f]{32}", value)


@pytest.mark.parametrize(
    ("function", "near"),
    [(datasets.load, "mnist"), (datasets.describe, "mnist"), (datasets.load_ratings, "movielens-small")],
)
def test_unknown_name(function, near):
    with pytest.raises(DataError, match=f"Did you mean '{near}'"):
        function(near[:-2])


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
    counts = np.bincount(np.concatenate([digits.train_labels, digits.test_labels]))
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_split_of_digits_is_the_same_for_ever():
    digits = datasets.load("digits")
    assert md5(digits.test.tobytes() + digits.test_labels.tobytes()) == "d7e8984197c789525ffe16d28ac0367e"


def test_digits_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    datasets.load("digits")
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# Downloading.


@each
def test_download_then_cache(kind, server, tmp_path):
    load, check, folder, files = KINDS[kind]
    found = load("toy")
    check(found)
    assert found.source == server.address
    assert server.requests == files
    again = load("toy")
    check(again)
    assert again.source == str(tmp_path / "cache" / folder)
    assert server.requests == files
    # Nothing was unpacked, least of all beside the folder, and nothing is left of the transfer.
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*.*")) == sorted(files)


@each
@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ({"status": 503}, "503"),
        ({"status": 302}, "not the right file|cannot be read"),
        ({"cut": 30}, "Connection broken|not the right file|cannot be read"),
        ({"seconds": 0.6}, "timed out"),
        ({"content": b"<html>please log in</html>"}, "not the right file|File is not a zip file"),
        ({"content": b"x" * 2**20}, "it sends more than [0-9,]+ bytes"),
        ({"scheme": "https://"}, "not an https address"),
    ],
)
def test_downloads_that_fail_leave_nothing(kind, trouble, message, server, monkeypatch, tmp_path):
    load, _, folder, files = KINDS[kind]
    monkeypatch.setattr(download, "TIMEOUT", 0.2 if "seconds" in trouble else 5.0)
    if "scheme" in trouble:
        monkeypatch.setattr(download, "SCHEMES", (trouble["scheme"],))
    server.files[files[0]] = trouble.get("content", server.files[files[0]])
    for name in ("status", "cut", "seconds"):
        setattr(server, name, trouble.get(name, getattr(server, name)))
    with pytest.raises(DownloadError, match=message) as caught:
        load("toy")
    assert f"{server.address}{files[0]}: " in str(caught.value)
    assert f"NARROWS_DATA to a folder that holds {folder}/{files[0]}" in str(caught.value)
    assert not list((tmp_path / "cache" / folder).iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive(ratings=RATED.replace(b"4.0", b"4.5")), r"ratings\.csv in .* not the right file"),
        (archive(films=FILMS + b"x" * 100_000), r"movies\.csv in .* holds more than \d+ bytes"),
        (archive(folder="other"), "no item named"),
        (archive()[:-40], "File is not a zip file"),
        (archive(compression=zipfile.ZIP_STORED).replace(b"964982703", b"964982704"), "Bad CRC-32"),
    ],
)
def test_wrong_archives(content, message, server, tmp_path):
    server.files["toy-films.zip"] = content
    with pytest.raises(DownloadError, match=message):
        datasets.load_ratings("toy")
    assert not list((tmp_path / "cache").rglob("*.zip"))


def test_what_is_packed_anew_is_not_unpacked_before_it_is_known(server, monkeypatch):
    server.files["train-images.gz"] = gzip.compress(idx(TOY["train-images.gz"]), 1, mtime=7)[: len(PACKED)]
    monkeypatch.setattr(gzip, "GzipFile", lambda **_: pytest.fail("it was unpacked"))
    with pytest.raises(DownloadError, match="not the right file"):
        datasets.load("toy")


def test_mirrors_are_tried_in_turn(server, monkeypatch):
    with serving() as other:
        other.files["train-images.gz"] = b"spoilt"
        register(monkeypatch, other.address + "absent/", other.address, server.address)
        assert_is_toy(datasets.load("toy"))
        assert server.requests == ["train-images.gz"]


def test_a_cache_that_cannot_be_written(monkeypatch, server, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NARROWS_CACHE", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match=r"cannot be written to .*NARROWS_CACHE"):
        datasets.load("toy")


@each
def test_several_at_once(kind, server):
    load, check, _, _ = KINDS[kind]
    found = []
    threads = [threading.Thread(target=lambda: found.append(load("toy"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for one in found:
        check(one)


@pytest.mark.parametrize("progress", [None, False, True])
def test_the_bar_is_shown_when_asked_for(progress, server, capfd):
    datasets.load("toy", progress=progress)
    assert ("train-images.gz" in capfd.readouterr().err) == (progress is True)


# Files that are there already.


@each
@pytest.mark.parametrize("how", ["damaged", "link"])
def test_what_is_no_file_of_ours_in_the_cache_is_fetched_again(kind, how, server, tmp_path):
    load, check, folder, files = KINDS[kind]
    load("toy")
    kept, elsewhere = tmp_path / "cache" / folder / files[-1], tmp_path / "elsewhere"
    content = kept.read_bytes()
    if how == "damaged":
        kept.write_bytes(content[:-5])
    else:
        kept.rename(elsewhere)
        kept.symlink_to(elsewhere)
    check(load("toy"))
    assert kept.read_bytes() == content
    assert not kept.is_symlink()
    assert len(server.requests) == len(files) + 1


@each
def test_a_folder_of_the_cache_that_is_a_link_is_refused(kind, server, tmp_path):
    load, _, folder, _ = KINDS[kind]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / folder).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DownloadError, match="is a link"):
        load("toy")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_unpacked_films_in_the_cache(server, tmp_path):
    folder = tmp_path / "cache" / "toy-films"
    folder.mkdir(parents=True)
    (folder / "ratings.csv").write_bytes(RATED)
    (folder / "movies.csv").write_bytes(FILMS)
    assert_is_films(datasets.load_ratings("toy"))
    assert server.requests == []
    (folder / "movies.csv").write_bytes(FILMS[:-1])
    assert_is_films(datasets.load_ratings("toy"))
    assert server.requests == ["toy-films.zip"]


@pytest.mark.parametrize("packed", ["as published", "anew", "not"])
def test_own_folder_comes_first(packed, own, tmp_path):
    for name, array in TOY.items():
        if packed == "not":
            (own / "toy" / name.removesuffix(".gz")).write_bytes(idx(array))
        else:
            content = PACKED[name] if packed != "anew" else gzip.compress(idx(array), 1, mtime=7)
            (own / "toy" / name).write_bytes(content)
    if packed == "not":
        (own / "toy-films" / "ratings.csv").write_bytes(RATED)
        (own / "toy-films" / "movies.csv").write_bytes(FILMS)
    else:
        (own / "toy-films" / "toy-films.zip").write_bytes(archive())
    for load, check, folder, _ in KINDS.values():
        found = load("toy")
        check(found)
        assert found.source == str(own / folder)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("toy/train-images.gz", b"spoilt"),
        ("toy/train-images.gz", PACKED["train-images.gz"][:-9]),
        ("toy/train-images.gz", PACKED["test-images.gz"]),
        ("toy/train-images.gz", gzip.compress(bytes(10**6))),
        ("toy-films/toy-films.zip", archive()[:-9]),
    ],
)
def test_a_wrong_file_in_ones_own_folder_is_named_and_kept(name, content, own):
    (own / name).write_bytes(content)
    with pytest.raises(DownloadError, match=re.escape(str(own / name))):
        KINDS["images" if "images" in name else "ratings"][0]("toy")
    assert (own / name).read_bytes() == content


def test_where_only_the_packed_file_is_known(own, monkeypatch):
    register(monkeypatch, "http://127.0.0.1:9/", packed_hash=True)
    for name in TOY:
        (own / "toy" / name).write_bytes(PACKED[name])
    assert_is_toy(datasets.load("toy"))
    first = own / "toy" / "train-images.gz"
    first.write_bytes(gzip.compress(idx(TOY[first.name]), 1, mtime=7))
    with pytest.raises(DownloadError, match="is not the right file"):
        datasets.load("toy")
    first.unlink()
    (own / "toy" / "train-images").write_bytes(idx(TOY[first.name]))
    with pytest.raises(DownloadError, match=r"put train-images\.gz there"):
        datasets.load("toy")


def test_records_that_are_wrong(own, monkeypatch, server):
    record = records.RECORDS["toy"]
    monkeypatch.setitem(records.RECORDS, "toy", dataclasses.replace(record, files=record.files[::-1]))
    with pytest.raises(DownloadError, match="arrays of shapes"):
        datasets.load("toy")
    register(monkeypatch, server.address, n_users=3)
    with pytest.raises(DownloadError, match=r"hold \(2, 2, 3\) users, items and ratings, not \(3, 2, 3\)"):
        datasets.load_ratings("toy")


def test_the_cache_folder(monkeypatch, tmp_path):
    assert download.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("NARROWS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert download.cache_folder() == tmp_path / "xdg" / "narrows"


@pytest.mark.skipif(not os.environ.get("NARROWS_DATA"), reason="NARROWS_DATA is not set")
def test_the_real_mnist():
    mnist = datasets.load("mnist")
    assert (mnist.train.shape, mnist.test.shape) == ((60_000, 784), (10_000, 784))
    assert mnist.train.dtype == np.uint8
    assert mnist.train_labels[:5].tolist() == [5, 0, 4, 1, 9]


# Made-up data.


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
    ("name", "value"), [("n_samples", 0), ("n_features", 0), ("n_latent", 0), ("noise", -1.0), ("noise", float("nan"))]
)
def test_bad_manifolds(name, value):
    with pytest.raises(ValueError, match=name):
        datasets.make_manifold(**{name: value})
