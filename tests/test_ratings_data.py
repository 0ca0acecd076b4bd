"""Ratings: the named set, wherever it comes from, and made-up ones against what they are made from."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import re
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import numpy as np
import pytest

from narrows import datasets
from narrows.datasets import Ratings, download, generators, make_ratings, records
from narrows.errors import DataError, DownloadError

RATED = b"userId,movieId,rating,timestamp\n1,10,4.0,964982703\n1,30,0.5,964981247\n2,10,5.0,1445714835\n"
FILMS = (
    "movieId,title,genres\n"
    "10,Toy Story (1995),Animation|Comedy\n"
    '20,"American President, The (1995)",Comedy\n'
    '30,"""Great Performances"" Misérables (1971)",(no genres listed)\n'
).encode()


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    """No test sees the user's folders, nor a proxy."""
    monkeypatch.setenv("NARROWS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "TIMEOUT", 5.0)


def archive(ratings=RATED, films=FILMS, folder="toy-films", compression=zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as file:
        # Members that are of no use, and one that would leave the folder if it were unpacked.
        for name, content in (
            (f"{folder}/", b""),
            ("../outside.csv", b"x"),
            (f"{folder}/movies.csv", films),
            (f"{folder}/ratings.csv", ratings),
            (f"{folder}/tags.csv", b"userId\n"),
        ):
            file.writestr(name, content)
    return packed.getvalue()


class Server:
    """A web server on this machine that gives one file, or a status."""

    def __init__(self, content):
        self.content, self.status, self.paths = content, 200, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.paths.append(self.path)
                if outer.status != 200:
                    self.send_error(outer.status)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content)

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


def register(monkeypatch, address, **changes):
    """Put a small set among the records."""
    members = tuple(
        records.Member(name, hashlib.md5(content).hexdigest(), len(content))
        for name, content in (("ratings.csv", RATED), ("movies.csv", FILMS))
    )
    record = dataclasses.replace(
        records.RATINGS["movielens-small"],
        **{
            "name": "toy",
            "folder": "toy-films",
            "n_users": 2,
            "n_items": 2,
            "n_ratings": 3,
            "addresses": (address,),
            "members": members,
            **changes,
        },
    )
    monkeypatch.setitem(records.RATINGS, "toy", record)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("NARROWS_DATA", raising=False)
    server = Server(archive())
    register(monkeypatch, server.address)
    yield server
    server.close()


@pytest.fixture
def own(monkeypatch, tmp_path):
    """A folder of one's own, and no web."""
    monkeypatch.setenv("NARROWS_DATA", str(tmp_path / "own"))
    register(monkeypatch, "http://127.0.0.1:9/")
    folder = tmp_path / "own" / "toy-films"
    folder.mkdir(parents=True)
    return folder


def assert_is_toy(found):
    assert found.user.tolist() == [1, 1, 2]
    assert found.item.tolist() == [10, 30, 10]
    assert found.rating.tolist() == [4.0, 0.5, 5.0]
    assert found.timestamp.tolist() == [964982703, 964981247, 1445714835]
    assert found.titles == {
        10: "Toy Story (1995)",
        20: "American President, The (1995)",
        30: '"Great Performances" Misérables (1971)',
    }


# ---------------------------------------------------------------- the object


def test_columns_are_those_there_are():
    ids = np.array([3, 3, 5])
    ratings = Ratings(ids, ids + 100)
    assert list(ratings.columns()) == ["user", "item"]
    assert len(ratings) == 3
    assert repr(ratings) == "Ratings('ratings': 3 interactions of 2 users with 2 items)"
    rated = Ratings(ids, ids + 100, rating=np.ones(3, np.float32), timestamp=ids)
    assert list(rated.columns()) == ["user", "item", "rating", "timestamp"]
    assert "3 ratings of" in repr(rated)
    with pytest.raises(dataclasses.FrozenInstanceError):
        rated.name = "other"


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(DataError, match=r"column 'rating' has shape \(2,\), and user \(3,\)"):
        Ratings(np.arange(3), np.arange(3), rating=np.ones(2))


def test_frame():
    pytest.importorskip("pandas")
    frame = make_ratings(20, 30, 100, random_state=0).to_frame()
    assert frame.shape == (100, 4)
    assert list(frame.columns) == ["user", "item", "rating", "timestamp"]


def test_a_frame_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(DataError, match=re.escape('pip install "narrows[frames]"')):
        make_ratings(20, 30, 100, random_state=0).to_frame()


# ---------------------------------------------------------------- the named set


def test_unknown_name():
    with pytest.raises(DataError, match=r"no set of ratings 'movielens'; .*Did you mean 'movielens-small'\?"):
        datasets.load_ratings("movielens")


def test_what_is_known_of_each_set():
    for name, record in records.RATINGS.items():
        assert record.name == name
        assert all((record.summary, record.licence, record.citation, record.megabytes, record.addresses))
        assert [member.name for member in record.members] == ["ratings.csv", "movies.csv"]
        assert all(re.fullmatch("[0-9a-f]{32}", member.md5) for member in record.members)


@pytest.mark.skipif(not os.environ.get("NARROWS_DATA"), reason="NARROWS_DATA is not set")
def test_the_real_movielens():
    films = datasets.load_ratings("movielens-small")
    assert repr(films) == "Ratings('movielens-small': 100,836 ratings of 610 users with 9,724 items)"
    assert films.rating.min() == 0.5
    assert films.rating.max() == 5.0
    assert films.rating.mean(dtype=float) == pytest.approx(3.501557, abs=1e-6)
    assert len(films.titles) == 9742
    assert films.titles[11] == "American President, The (1995)"
    assert set(films.item.tolist()) <= films.titles.keys()
    assert (films.user.dtype, films.rating.dtype, films.timestamp.dtype) == (np.int64, np.float32, np.int64)
    # Their terms travel with them.
    assert "no commercial use" in films.licence
    assert "Harper and J. A. Konstan (2015)" in films.citation


def test_download_then_cache(server, tmp_path):
    found = datasets.load_ratings("toy")
    assert_is_toy(found)
    assert found.source == server.address
    again = datasets.load_ratings("toy")
    assert_is_toy(again)
    assert again.source == str(tmp_path / "cache" / "toy-films")
    assert server.paths == ["/toy-films.zip"]
    # Nothing was unpacked, least of all beside the folder.
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*.*")) == ["toy-films.zip", "toy-films.zip.lock"]


def test_a_damaged_archive_in_the_cache_is_fetched_again(server, tmp_path):
    datasets.load_ratings("toy")
    kept = tmp_path / "cache" / "toy-films" / "toy-films.zip"
    kept.write_bytes(kept.read_bytes()[:-30])
    assert_is_toy(datasets.load_ratings("toy"))
    assert len(server.paths) == 2


def test_unpacked_files_in_the_cache(server, tmp_path):
    folder = tmp_path / "cache" / "toy-films"
    folder.mkdir(parents=True)
    (folder / "ratings.csv").write_bytes(RATED)
    (folder / "movies.csv").write_bytes(FILMS)
    assert_is_toy(datasets.load_ratings("toy"))
    assert server.paths == []
    (folder / "movies.csv").write_bytes(FILMS[:-1])
    assert_is_toy(datasets.load_ratings("toy"))
    assert server.paths == ["/toy-films.zip"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive(ratings=RATED.replace(b"4.0", b"4.5")), r"ratings\.csv in .* not the right file: the MD5"),
        (archive(films=FILMS + b"x" * 10_000_000), r"movies\.csv in .* holds more than \d+ bytes"),
        (archive(folder="other"), r"holds no toy-films/ratings\.csv"),
        (archive()[:-40], "cannot be read: File is not a zip file"),
        (b"<html>please log in</html>", "cannot be read: File is not a zip file"),
    ],
)
def test_wrong_archives(content, message, server, tmp_path):
    server.content = content
    with pytest.raises(DownloadError, match=r"toy-films\.zip could not be downloaded .*" + message):
        datasets.load_ratings("toy")
    assert not list((tmp_path / "cache").rglob("*.zip"))


def test_an_archive_damaged_inside(server):
    whole = archive(compression=zipfile.ZIP_STORED)
    server.content = whole.replace(b"964982703", b"964982704")
    with pytest.raises(DownloadError, match="Bad CRC-32"):
        datasets.load_ratings("toy")


def test_a_refusal_names_the_answer(server):
    server.status = 503
    with pytest.raises(DownloadError, match="the server answered 503"):
        datasets.load_ratings("toy")


def test_offline(monkeypatch, tmp_path):
    monkeypatch.delenv("NARROWS_DATA", raising=False)
    closed = Server(b"")
    closed.close()
    register(monkeypatch, closed.address)
    with pytest.raises(DownloadError) as caught:
        datasets.load_ratings("toy")
    message = str(caught.value)
    assert closed.address + "toy-films.zip: Connection refused" in message
    assert str(tmp_path / "cache" / "toy-films") in message
    assert "NARROWS_DATA to a folder that holds toy-films/toy-films.zip" in message


@pytest.mark.parametrize("packed", [False, True])
def test_own_folder_comes_first(packed, own, tmp_path):
    if packed:
        (own / "toy-films.zip").write_bytes(archive())
    else:
        (own / "ratings.csv").write_bytes(RATED)
        (own / "movies.csv").write_bytes(FILMS)
    found = datasets.load_ratings("toy")
    assert_is_toy(found)
    assert found.source == str(own)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", [RATED[:-1], RATED + b"2,30,1.0,964981247\n", b""])
def test_a_wrong_file_in_ones_own_folder_is_named_and_kept(content, own):
    (own / "ratings.csv").write_bytes(content)
    (own / "movies.csv").write_bytes(FILMS)
    with pytest.raises(DownloadError, match=re.escape(str(own / "ratings.csv"))):
        datasets.load_ratings("toy")
    assert (own / "ratings.csv").read_bytes() == content


def test_a_record_of_another_size(own, monkeypatch):
    register(monkeypatch, "http://127.0.0.1:9/", n_users=3)
    (own / "toy-films.zip").write_bytes(archive())
    with pytest.raises(DownloadError, match=r"hold \(2, 2, 3\) users, items and ratings, not \(3, 2, 3\)"):
        datasets.load_ratings("toy")


# ---------------------------------------------------------------- made-up ratings


@pytest.fixture(scope="module")
def made():
    return make_ratings(3000, 2000, 150_000, random_state=0, return_structure=True)


def positions(ratings, structure):
    return np.searchsorted(structure.users, ratings.user), np.searchsorted(structure.items, ratings.item)


def test_there_are_as_many_as_asked_for_and_none_twice(made):
    ratings, structure = made
    assert len(ratings) == 150_000
    assert len(set(zip(ratings.user.tolist(), ratings.item.tolist(), strict=True))) == 150_000
    assert np.array_equal(np.unique(ratings.user), structure.users)
    assert set(ratings.item.tolist()) <= set(structure.items.tolist())
    assert set(np.unique(ratings.rating).tolist()) == set(np.arange(0.5, 5.5, 0.5).tolist())


def test_ids_are_names_and_not_positions(made):
    ratings, structure = made
    for ids in (structure.users, structure.items):
        assert ids.min() > 100
        assert len(np.unique(ids)) == len(ids)
        assert ids.max() > 100 + len(ids)
    assert ratings.titles.keys() == set(structure.items.tolist())
    assert len(set(ratings.titles.values())) == 2000
    for number in structure.items[:9].tolist():
        assert ratings.titles[number] == f"Film {number:04d}"


def test_times_rise_within_each_user(made):
    ratings, _ = made
    assert (np.diff(ratings.user) >= 0).all()
    same = np.diff(ratings.user) == 0
    gaps = np.diff(ratings.timestamp)[same]
    assert gaps.min() >= 1
    assert gaps.mean() == pytest.approx(3600, rel=0.05)
    assert len(np.unique(np.diff(ratings.timestamp)[~same] > 0)) == 2


def test_popularity_falls_with_a_power_of_the_rank(made):
    ratings, structure = made
    _, items = positions(ratings, structure)
    found = np.bincount(items, minlength=2000)
    order = np.argsort(-structure.popularity)
    # A tenth of the items has half of the interactions.
    assert found[order[:200]].sum() > 0.45 * len(ratings)
    # At the head nobody takes twice what is drawn twice, so the power shows from the middle on.
    ranks = np.arange(250, 1000)
    slope = np.polyfit(np.log(ranks + 1), np.log(found[order[ranks]]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.1)


def test_users_differ_in_activity(made):
    ratings, structure = made
    counts = np.bincount(positions(ratings, structure)[0])
    assert counts.min() >= 10  # a fifth of the mean of 50
    assert counts.max() <= 1000
    assert np.log(counts - 9).std() == pytest.approx(1.0, abs=0.15)


def test_tastes_can_be_found_again(made):
    from scipy.sparse import csr_matrix

    ratings, structure = made
    rows, columns = positions(ratings, structure)
    table = csr_matrix((np.ones(len(rows)), (columns, rows)), shape=(2000, 3000))
    table = table.multiply(1 / np.sqrt(table.sum(1))).tocsr()
    alike = (table @ table.T).toarray()
    np.fill_diagonal(alike, -1)
    taste = structure.item_tastes.argmax(1)
    pure = structure.item_tastes.max(1) > 0.8
    near = np.argsort(-alike, axis=1)[:, :5]
    shared = (taste[near] == taste[:, None])[pure].mean()
    chance = (np.bincount(taste) / 2000) @ (np.bincount(taste[pure]) / pure.sum())
    assert chance < 0.15
    assert shared > 4 * chance


def test_a_star_is_made_of_what_the_text_says(made):
    ratings, structure = made
    rows, columns = positions(ratings, structure)
    match = (structure.user_tastes[rows] * structure.item_tastes[columns]).sum(1)
    match = 0.4 * (match - match.mean()) / match.std()
    parts = np.stack([np.ones(len(rows)), structure.quality[columns], structure.bias[rows], match], 1)
    stars = ratings.rating.astype(float)
    weights, _, _, _ = np.linalg.lstsq(parts, stars, rcond=None)
    # Cutting at five stars takes a little from each.
    assert weights[0] == pytest.approx(3.5, abs=0.05)
    assert weights[1:] == pytest.approx(np.ones(3), abs=0.12)
    # Rounding to halves adds a variance of 1/48.
    assert (stars - parts @ weights).var() == pytest.approx(0.36 + 1 / 48, rel=0.07)
    assert structure.quality.std() == pytest.approx(0.5, rel=0.1)
    assert structure.bias.std() == pytest.approx(0.4, rel=0.1)
    assert stars.var() == pytest.approx(0.93, rel=0.15)


def test_one_pick_has_the_probability_that_the_text_says():
    # So many users of the same tastes that shares are probabilities; each takes one item.
    rng = np.random.default_rng(0)
    cumulative = np.cumsum([[0.5, 0.3, 0.1, 0.1], [0.1, 0.1, 0.2, 0.6]], axis=1)
    tastes = np.tile([0.25, 0.75], (40_000, 1))
    drawn = generators._draw(rng, tastes, np.ones(40_000, dtype=np.int64), cumulative)
    assert np.bincount(drawn) / 40_000 == pytest.approx([0.2, 0.15, 0.175, 0.475], abs=0.01)


@pytest.mark.parametrize("rounds", [0, 1, 10])
def test_both_ways_of_drawing_have_the_same_distribution(rounds, monkeypatch):
    monkeypatch.setattr(generators, "_ROUNDS", rounds)
    monkeypatch.setattr(generators, "_CELLS", 4000)
    shares = np.array([0.6, 0.3, 0.08, 0.02])
    tastes = np.ones((30_000, 1))
    counts = np.full(30_000, 2, dtype=np.int64)
    drawn = generators._draw(np.random.default_rng(1), tastes, counts, np.cumsum(shares)[None]).reshape(-1, 2)
    found = np.zeros((4, 4))
    np.add.at(found, (drawn[:, 0], drawn[:, 1]), 1 / 30_000)
    # One after the other, without what is taken.
    expected = shares[:, None] * shares[None] / (1 - shares[:, None])
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found, expected, atol=0.012)
    assert (np.diag(found) == 0).all()


def test_blocks_hold_all_users_once():
    bounds = np.concatenate([[0], np.cumsum([5, 600_000, 1, 499_999, 3, 900_000])])
    blocks = list(generators._blocks(bounds))
    assert [first for first, _ in blocks] == [0, 1, 2, 4, 5]
    assert all(last == first for (_, last), (first, _) in pairwise(blocks))
    assert blocks[-1][1] == 6


def test_several_blocks_make_one_log(monkeypatch):
    monkeypatch.setattr(generators, "_BLOCK", 500)
    ratings, structure = make_ratings(100, 80, 3000, random_state=0, return_structure=True)
    assert len(set(zip(ratings.user.tolist(), ratings.item.tolist(), strict=True))) == 3000
    assert np.array_equal(np.unique(ratings.user), structure.users)
    assert (np.diff(ratings.timestamp)[np.diff(ratings.user) == 0] > 0).all()


def test_without_stars():
    ratings = make_ratings(50, 40, 300, rated=False, random_state=0)
    assert ratings.rating is None
    assert list(ratings.columns()) == ["user", "item", "timestamp"]
    # The same things are taken.
    assert np.array_equal(ratings.item, make_ratings(50, 40, 300, random_state=0).item)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 4, 20), (5, 4, 5), (1, 300, 299), (300, 1, 300), (40, 50, 1999)])
@pytest.mark.parametrize("n_tastes", [1, 3])
def test_every_size_works(sizes, n_tastes):
    ratings = make_ratings(*sizes, n_tastes=n_tastes, random_state=0)
    assert len(ratings) == sizes[2]
    assert len(np.unique(ratings.user)) == sizes[0]
    assert len(set(zip(ratings.user.tolist(), ratings.item.tolist(), strict=True))) == sizes[2]
    assert np.isfinite(ratings.rating).all()


def test_made_up_ratings_depend_on_their_seed_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, same, other = (make_ratings(60, 50, 600, random_state=seed) for seed in (1, 1, 2))
    for name, column in one.columns().items():
        assert np.array_equal(column, same.columns()[name])
    assert not np.array_equal(one.item, other.item)
    for make in (np.random.default_rng, np.random.RandomState):
        first, second = (make_ratings(60, 50, 600, random_state=make(4)) for _ in range(2))
        assert np.array_equal(first.item, second.item)
    make_ratings(60, 50, 600)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_users": 0}, "n_users must be at least 1"),
        ({"n_items": 0}, "n_items must be at least 1"),
        ({"n_tastes": 0}, "n_tastes must be at least 1"),
        ({"n_ratings": 999}, "n_ratings must be from 1000"),
        ({"n_ratings": 500_001}, "to 500000 .*, not 500001"),
    ],
)
def test_bad_sizes(options, message):
    with pytest.raises(ValueError, match=message):
        make_ratings(**options)


@pytest.mark.slow
def test_twenty_million_interactions():
    ratings = make_ratings(200_000, 50_000, 20_000_000, random_state=0)
    assert len(ratings) == 20_000_000
    pairs = ratings.user * 1_000_000 + ratings.item
    pairs.sort()
    assert (np.diff(pairs) > 0).all()
