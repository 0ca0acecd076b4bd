"""Ratings: the named set, wherever it comes from, and made-up ones against what they are made from."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from itertools import pairwise

import numpy as np
import pytest

from narrows import datasets
from narrows.datasets import Ratings, generators, make_ratings
from narrows.errors import DataError

# The object.


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


# Made-up ratings.


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
