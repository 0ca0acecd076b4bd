"""The lab on films: its ratings, the course's table of stars and what it prints, lists, and known answers."""

from __future__ import annotations

import os

import numpy as np
import pytest

pytest.importorskip("pandas")

from narrows import datasets
from narrows.datasets import Ratings, make_ratings
from narrows.errors import DataError, DownloadError
from narrows.labs import course_baseline, run_lab
from narrows.labs.course_baseline import RatingsTable, error_of_hidden, losses, suggestions
from narrows.labs.movies_data import load_movies, make_movies
from narrows.labs.movies_lists import LONGEST_TITLE, listed_title
from narrows.recommend import split_random

needs_movielens = pytest.mark.skipif(not os.environ.get("NARROWS_DATA"), reason="NARROWS_DATA is not set")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def movies():
    return make_movies(250, 120, 5000, reason="They were asked for.")


@pytest.fixture(scope="module")
def result(movies):
    return run_lab("movies", data=movies, method="linear", n_splits=2, max_epochs=3)


# --- numbers


def test_what_is_known_of_made_up_ratings_comes_out(result):
    """They have tastes, so narrows must beat what knows of none; at predicting and at ranking."""
    assert result["narrows"]["rmse"] < result["bias"]["rmse"] < result["items"]["rmse"]
    assert result["narrows"]["ndcg"] > result["popular"]["ndcg"]
    assert result["narrows"]["ndcg"] > result["items"]["ndcg"] + 2 * result["items"]["ndcg_error"]
    assert result.facts["near_fraction"] > 1.5 * result.facts["chance_fraction"]


def test_simple_answers_are_what_they_are_elsewhere(result, movies):
    """Measured again by other means."""
    train, hidden = split_random(movies.ratings, 0.1, random_state=0)
    stars = hidden.columns()["rating"].astype(float)
    known = train.columns()
    mean = known["rating"].mean(dtype=float)
    assert result.facts["n_stars"] == len(stars)
    assert result["zero"]["rmse"] == pytest.approx(np.sqrt((stars**2).mean()), rel=1e-6)
    assert result["mean"]["rmse"] == pytest.approx(np.sqrt(((stars - mean) ** 2).mean()), rel=1e-6)
    by_film = {item: known["rating"][known["item"] == item].mean(dtype=float) for item in np.unique(known["item"])}
    predicted = np.array([by_film.get(item, mean) for item in hidden.columns()["item"]])
    assert result["items"]["mae"] == pytest.approx(np.abs(stars - predicted).mean(), rel=1e-5)


def test_lists_hold_what_they_should(result, movies):
    ratings, facts = movies.ratings, result.facts
    mine = ratings.user == facts["user"]
    seen = set(ratings.item[mine].tolist())
    assert {film["item"] for film in facts["liked"]} <= seen
    assert [film["stars"] for film in facts["liked"]] == sorted((f["stars"] for f in facts["liked"]), reverse=True)
    assert facts["liked"][0]["stars"] == ratings.rating[mine].max()
    assert seen.isdisjoint(film["item"] for film in facts["recommended"])
    assert len(facts["recommended"]) == len(facts["similar"]) == 10
    assert {film["group"].lower() for film in facts["loved"]} == {facts["group"]}
    assert {film["item"] for film in facts["loved"]}.isdisjoint(film["item"] for film in facts["newcomer"])
    assert facts["similar_to"] not in {film["item"] for film in facts["similar"]}
    for film in (*facts["liked"], *facts["recommended"]):
        assert film["n_ratings"] == (ratings.item == film["item"]).sum()
        assert film["mean"] == pytest.approx(ratings.rating[ratings.item == film["item"]].mean(dtype=float))
        assert film["title"] == ratings.titles[film["item"]]
    shown = result.artifacts["map"]
    assert shown["points"].shape == (facts["n_mapped"], 2)
    assert len(shown["titles"]) == len(shown["groups"]) == facts["n_mapped"]


@pytest.mark.slow
def test_a_method_is_chosen_on_the_first_split(movies):
    found = run_lab("movies", data=movies, n_splits=2, max_epochs=1)
    assert set(found.facts["method"].split(" + ")) <= {"linear", "multinomial", "factors"}
    assert len(found.facts["candidates"]) >= 3
    method = found.artifacts["model"].method_
    parts = getattr(method, "parts", (method,))
    assert " + ".join(type(part).__name__.lower() for part in parts) == found.facts["method"]


# --- data


def test_where_movielens_cannot_be_had_the_ratings_are_made_up(monkeypatch):
    def nowhere(*_, **__):
        raise DownloadError("It is nowhere.")

    monkeypatch.setattr(datasets, "load_ratings", nowhere)
    monkeypatch.setattr("narrows.labs.movies_data.SIZES", (30, 20, 200))
    found = load_movies()
    assert found.made_up
    assert "It is nowhere." in found.reason
    with pytest.raises(DownloadError, match="nowhere"):
        load_movies("movielens-small")
    assert load_movies("made-up", seed=1).made_up


@needs_movielens
def test_every_film_of_movielens_has_a_group():
    found = load_movies("movielens-small")
    assert not found.made_up
    assert set(np.unique(found.ratings.item).tolist()) <= found.groups.keys()
    assert found.groups[1] == "Animation"
    assert found.groups[318] == "Crime, thriller"
    assert set(found.groups.values()) == set(found.order)


# --- the course's table


def test_losses_are_those_of_the_table():
    from sklearn.model_selection import train_test_split

    ratings = make_ratings(300, 400, 4000, random_state=0)
    users, rows = np.unique(ratings.user, return_inverse=True)
    items, columns = np.unique(ratings.item, return_inverse=True)
    cells = np.zeros((len(users), len(items)))
    cells[rows, columns] = ratings.rating / 5
    train, validation = train_test_split(cells, test_size=0.2, random_state=42)
    table = RatingsTable.of(ratings)
    assert (len(table.train), len(table.validation)) == (240, 60)
    found = losses(lambda given: given, table, table.validation)
    assert found["course"] == 0
    assert found["zero"] == pytest.approx((validation**2).mean(), rel=1e-5)
    assert found["average"] == pytest.approx(((validation - train.mean(0)) ** 2).mean(), rel=1e-5)
    found = losses(lambda given: given, table, table.train)
    assert found["average"] == pytest.approx(((train - train.mean(0)) ** 2).mean(), rel=1e-5)


def test_what_is_hidden_is_hidden_from_the_network_and_the_means():
    """A network that returns its input is right about nothing that was hidden."""
    given = []
    table = RatingsTable.of(make_ratings(300, 400, 4000, random_state=0))
    errors, about = error_of_hidden(lambda rows: given.append(rows) or rows, table, 0)
    assert errors["course"] == errors["zero"]
    assert about["predicted_mean"] == 0
    hidden = np.count_nonzero(table.cells[table.validation]) - np.count_nonzero(given[0])
    assert hidden == about["n_hidden"] == round(0.1 * np.count_nonzero(table.cells[table.validation]))
    stars = 5 * table.cells[table.validation][table.cells[table.validation] > 0]
    assert errors["zero"] == pytest.approx(np.sqrt((stars**2).mean()), rel=0.15)
    assert errors["items"] < errors["mean"] == pytest.approx(stars.std(), rel=0.25)


def test_the_printed_numbers_are_positions_among_the_unseen_and_ties_are_counted():
    user, item = np.divmod(np.arange(60), 12)
    # The first user has not rated the films 2, 5, ...
    kept = (user > 0) | (item % 3 != 1)
    table = RatingsTable.of(Ratings(user[kept], item[kept] + 1, rating=np.full(60, 4.0)[kept]))
    fixed = np.array([0.9, 0, 0, 0, 0.2, 0, 0, 0, 0, 0, 0, 0])
    found = suggestions(lambda rows: np.tile(fixed, (len(rows), 1)), table, {5: "Five", 1: "One"})
    # Unseen are 2, 5, 8, 11; the seen film 1 would be best. Positions count from 0, so "1" stands for film 5.
    lines = found["suggestions"]
    assert [(line["printed"], line["item"]) for line in lines] == [(1, 5), (0, 2), (2, 8), (3, 11)]
    assert [line["names_film"] for line in lines] == [True, False, True, True]
    assert (lines[0]["title"], lines[0]["read_title"]) == ("Five", "One")
    counts = ("n_unseen", "n_tied", "n_tied_listed", "n_named", "n_right")
    assert [found[name] for name in counts] == [4, 3, 3, 3, 0]


@pytest.mark.parametrize("sizes", [(5, 1, 5), (8, 5, 20), (40, 30, 200)])
def test_small_tables(sizes):
    table = RatingsTable.of(make_ratings(*sizes, random_state=0))
    assert np.isfinite(list(losses(np.zeros_like, table, table.validation).values())).all()
    assert np.isfinite(list(error_of_hidden(np.zeros_like, table, 0)[0].values())).all()
    found = suggestions(np.zeros_like, table, None)
    assert len(found["suggestions"]) == min(10, found["n_unseen"])


@pytest.mark.parametrize(
    "ratings",
    [
        make_ratings(20, 30, 100, rated=False, random_state=0),
        make_ratings(4, 30, 40, random_state=0),
        *(Ratings(np.arange(10), np.arange(10), np.append(np.full(9, 3.0), stars)) for stars in (0.0, 10.0, np.nan)),
    ],
)
def test_ratings_that_will_not_do(ratings):
    with pytest.raises(DataError):
        RatingsTable.of(ratings)


def test_a_table_too_large(monkeypatch):
    monkeypatch.setattr(course_baseline, "MOST_CELLS", 100)
    with pytest.raises(DataError, match="too large a table"):
        RatingsTable.of(make_ratings(20, 30, 100, random_state=0))


# --- titles


@pytest.mark.parametrize(
    ("title", "listed"),
    [
        ("Matrix, The (1999)", "Matrix, The (1999)"),
        ("Seven (a.k.a. Se7en) (1995)", "Seven (1995)"),
        ("12 Angry Men", "12 Angry Men"),
        ("(500) Days of Summer (2009)", "Days of Summer (2009)"),
        ("(1408)", "(1408)"),
        ("a" * LONGEST_TITLE + " (1999)", "a" * LONGEST_TITLE),
    ],
)
def test_titles_are_shortened(title, listed):
    assert listed_title(title) == listed
    assert len(listed_title("word " * 30 + "(1999)")) <= LONGEST_TITLE + 1


# --- known answers


@needs_movielens
def test_the_users_of_the_course_have_the_loss_of_the_course():
    table = RatingsTable.of(datasets.load_ratings("movielens-small"))
    assert (table.cells.shape, len(table.train), len(table.validation)) == ((610, 9724), 488, 122)
    found = losses(np.zeros_like, table, table.validation)
    assert f"{found['zero']:.4f}" == "0.0120"
    assert found["average"] < 0.9 * found["zero"]


@needs_movielens
@pytest.mark.slow
def test_on_movielens_the_numbers_are_the_known_ones():
    found = run_lab("movies", data="movielens-small", method="linear", n_splits=1)
    assert found["course"]["loss"] == pytest.approx(0.0120, abs=0.0001)
    assert found["course"]["course_rmse"] > 3.5
    assert found["items"]["course_rmse"] < found["mean"]["course_rmse"] < 1.1
    # Next to all films have one and the same score, "0", so the list is theirs in the order of ids.
    assert found.facts["n_tied"] > 1000
    assert found.facts["n_right"] == 0
    assert found["narrows"]["rmse"] < 0.82
    assert found["narrows"]["ndcg"] > found["popular"]["ndcg"] + 0.1
    assert found["items"]["ndcg"] < 0.01
    assert "Toy Story 2 (1999)" in [film["title"] for film in found.facts["similar"]]
