"""The lab on films: every way on the same ratings, what the numbers say in either direction, and its command."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

pytest.importorskip("pandas")

from narrows import datasets
from narrows.cli.lab import lab
from narrows.errors import DataError, DownloadError
from narrows.labs import movies_lessons, run_movies_lab
from narrows.labs.movies_data import load_movies, made_up_movies
from narrows.recommend import split_random

QUICK = {"method": "linear", "n_splits": 2, "max_epochs": 3}
needs_movielens = pytest.mark.skipif(not os.environ.get("NARROWS_DATA"), reason="NARROWS_DATA is not set")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def movies():
    return made_up_movies(250, 120, 5000, why="They were asked for.")


@pytest.fixture(scope="module")
def result(movies):
    return run_movies_lab(movies, **QUICK)


# --- numbers


def test_every_way_is_measured(result):
    assert [score.key for score in result.stars] == ["zero", "mean", "items", "bias", "narrows"]
    assert [score.key for score in result.ranking] == ["items", "popular", "ease", "narrows"]
    assert [gain.other for gain in result.gains] == ["items", "popular", "ease"]
    for stars in result.stars:
        assert 0 < stars.mae <= stars.rmse < 5
        assert 0 < stars.rmse_new < 5
    for lists in result.ranking:
        assert 0 <= lists.ndcg < 1
        assert 0 < lists.ndcg_error < 0.1
        assert 0 < lists.coverage <= 1


def test_what_is_known_of_made_up_ratings_comes_out(result):
    """They have tastes, so narrows must beat what knows of none; and who knew all can hardly be beaten."""
    assert result.stars_of("narrows").rmse < result.stars_of("bias").rmse < result.stars_of("items").rmse
    assert result.least_rmse < result.stars_of("narrows").rmse
    assert result.gain_over("popular").mean > 0
    assert result.gain_over("items").order == 1
    assert result.near_share > 1.5 * result.chance_share
    assert result.made_up
    assert result.kind == "taste"


def test_simple_answers_are_what_they_are_elsewhere(result, movies):
    """Measured again by other means."""
    train, hidden = split_random(movies.ratings, 0.1, random_state=0)
    stars = hidden.columns()["rating"].astype(float)
    known = train.columns()
    mean = known["rating"].mean(dtype=float)
    assert result.n_stars == len(stars)
    assert result.stars_of("zero").rmse == pytest.approx(np.sqrt((stars**2).mean()), rel=1e-6)
    assert result.stars_of("mean").rmse == pytest.approx(np.sqrt(((stars - mean) ** 2).mean()), rel=1e-6)
    by_film = {item: known["rating"][known["item"] == item].mean(dtype=float) for item in np.unique(known["item"])}
    said = np.array([by_film.get(item, mean) for item in hidden.columns()["item"]])
    assert result.stars_of("items").mae == pytest.approx(np.abs(stars - said).mean(), rel=1e-5)


def test_the_least_error_is_that_of_the_structure(movies):
    """The noise has a deviation of 0.6, and stars are rounded to halves."""
    ratings = movies.ratings
    off = ratings.rating - movies.expected(ratings.user, ratings.item)
    assert 0.5 < np.sqrt((off**2).mean()) < 0.65
    assert np.corrcoef(movies.expected(ratings.user, ratings.item), ratings.rating)[0, 1] > 0.7


def test_levels_of_the_training_users_are_those_of_the_table(result, movies):
    from sklearn.model_selection import train_test_split

    ratings = movies.ratings
    users, rows = np.unique(ratings.user, return_inverse=True)
    items, columns = np.unique(ratings.item, return_inverse=True)
    table = np.zeros((len(users), len(items)))
    table[rows, columns] = ratings.rating / 5
    fitted = table[train_test_split(np.arange(len(users)), test_size=0.2, random_state=42)[0]]
    levels = result.exhibits.training_levels
    assert levels["zeros everywhere"] == pytest.approx((fitted**2).mean(), rel=1e-6)
    assert levels["average row"] == pytest.approx(((fitted - fitted.mean(0)) ** 2).mean(), rel=1e-6)


def test_lists_hold_what_they_should(result, movies):
    ratings = movies.ratings
    mine = ratings.user == result.user
    seen = set(ratings.item[mine].tolist())
    assert {film.item for film in result.liked} <= seen
    assert [film.stars for film in result.liked] == sorted((film.stars for film in result.liked), reverse=True)
    assert result.liked[0].stars == ratings.rating[mine].max()
    assert seen.isdisjoint(film.item for film in result.recommended)
    assert len(result.recommended) == len(result.similar) == 10
    assert result.n_same == result.n_compared == 20
    assert {film.group for film in result.history} == {result.group}
    assert {film.item for film in result.history}.isdisjoint(film.item for film in result.recommended_new)
    assert result.similar_to.item not in {film.item for film in result.similar}
    for film in (*result.liked, *result.recommended):
        assert film.n_ratings == (ratings.item == film.item).sum()
        assert film.mean_stars == pytest.approx(ratings.rating[ratings.item == film.item].mean(dtype=float))
        assert film.title == ratings.titles[film.item]
    shown = result.exhibits
    assert shown.points.shape == (result.n_mapped, 2)
    assert len(shown.titles) == len(shown.groups) == result.n_mapped
    assert set(shown.groups) <= set(shown.order)


def test_same_seed_same_numbers_and_no_global_generator_touched():
    movies = made_up_movies(80, 40, 1200, seed=1)
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    first, again = (run_movies_lab(movies, seed=3, method="linear", n_splits=1, max_epochs=1) for _ in range(2))
    assert first == again
    assert first.lessons
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), torch_state)


def test_the_result_goes_to_json(result):
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["name"] == "movies"
    assert plain["stars"][4]["rmse"] == result.stars_of("narrows").rmse
    assert plain["taught"]["validation_loss"] == result.taught.validation_loss
    assert plain["recommended"][0]["title"] == result.recommended[0].title
    assert plain["lessons"] == list(result.lessons)
    assert "exhibits" not in plain


@pytest.mark.slow
def test_a_method_is_chosen_on_the_first_split(movies):
    found = run_movies_lab(movies, n_splits=2, max_epochs=1)
    assert set(found.method.split(" + ")) <= {"linear", "multinomial", "factors"}
    assert len(found.candidates) >= 3
    assert found.reason in " ".join(found.lessons)
    method = found.exhibits.model.method_
    assert " + ".join(type(part).__name__.lower() for part in getattr(method, "parts", (method,))) == found.method


# --- data


def test_where_movielens_cannot_be_had_the_ratings_are_made_up(monkeypatch):
    def nowhere(*_, **__):
        raise DownloadError("It is nowhere.")

    monkeypatch.setattr(datasets, "load_ratings", nowhere)
    monkeypatch.setattr("narrows.labs.movies_data.SIZES", (30, 20, 200))
    found = load_movies()
    assert found.made_up
    assert found.why == "MovieLens could not be had. It is nowhere."
    with pytest.raises(DownloadError, match="nowhere"):
        load_movies("movielens-small")
    assert load_movies("made-up", seed=1).why == "They were asked for."


@needs_movielens
def test_every_film_of_movielens_has_a_group():
    found = load_movies("movielens-small")
    assert not found.made_up
    assert found.expected([1], [1]) is None
    assert set(np.unique(found.ratings.item).tolist()) <= found.groups.keys()
    assert found.groups[1] == "Animation"
    assert found.groups[318] == "Crime, thriller"
    assert set(found.groups.values()) == set(found.order)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"data": "netflix"}, "runs on movielens-small or made-up, not on 'netflix'"),
        ({"method": "rating"}, "method must be one of auto, linear"),
        ({"n_splits": 0}, "n_splits must be at least 1"),
    ],
)
def test_what_cannot_be_run_is_refused(words, message):
    with pytest.raises(DataError, match=message):
        run_movies_lab(**words)


def test_a_user_who_is_not_there_is_refused(movies):
    with pytest.raises(DataError, match="There is no user 7 "):
        run_movies_lab(movies, user=7, **QUICK)


# --- lessons


def _told(result, **changes) -> str:
    return " ".join(movies_lessons(replace(result, **changes)))


def _taught(result, **changes) -> str:
    return _told(result, taught=replace(result.taught, **changes))


def _stars(result, **rmse) -> str:
    return _told(result, stars=tuple(replace(one, rmse=rmse.get(one.key, one.rmse)) for one in result.stars))


def test_lessons_name_the_measured_numbers(result):
    text = " ".join(result.lessons)
    for key in ("narrows", "bias", "items"):
        assert f"{result.stars_of(key).rmse:.3f}" in text
    for key in ("narrows", "popular", "ease", "items"):
        assert f"{result.ranking_of(key).ndcg:.3f}" in text
    assert f"{result.taught.validation_loss:.4f}" in text
    assert f"{result.least_rmse:.3f}" in text
    assert result.reason in text


def test_lessons_turn_with_the_loss(result):
    levels = {"zero_loss": 0.02, "mean_row_loss": 0.015}
    assert "about the same as the 0.0200 of a table of zeros" in _taught(result, validation_loss=0.02, **levels)
    assert "the network has learnt nothing of anybody" in _taught(result, validation_loss=0.02, **levels)
    assert "the network has learnt nothing of anybody" in _taught(result, validation_loss=0.03, **levels)
    assert "learnt no more than what is popular" in _taught(result, validation_loss=0.017, **levels)
    good = _taught(result, validation_loss=0.01, **levels)
    assert "it has learnt something, if not what was asked" in good
    assert "nothing of anybody" not in good


def test_lessons_turn_with_the_stars_as_taught(result):
    assert "not a film of 0 stars" in _taught(result, mean_stars=0.02)
    worse = _taught(result, mean_stars=2.0, rmse_network=1.5, rmse_mean=1.0)
    assert "One number for all films would be the better prediction" in worse
    assert "not a film of 0 stars" not in worse
    better = _taught(result, mean_stars=3.4, rmse_network=0.8, rmse_mean=1.0)
    assert "One number for all films" not in better


def test_lessons_turn_with_the_list_as_taught(result):
    lines = result.taught.suggestions
    tied = tuple(replace(line, stars=5.0 if number == 0 else 0.0) for number, line in enumerate(lines))
    text = _taught(result, suggestions=tied, n_tied=70, n_unseen=80)
    assert "70 of the 80 films" in text
    assert "9 of its list of 10 are there by the order of their ids alone" in text
    assert "and all of them are listed" in _taught(result, suggestions=tied, n_tied=9)
    assert "order of their ids" not in _taught(result, n_tied=1)
    right = tuple(replace(line, printed=line.item, names_film=True) for line in lines)
    assert "here they happen to be the same" in _taught(result, suggestions=right)
    wrong = tuple(replace(line, printed=-1, names_film=False) for line in lines)
    assert "0 of 10 are the id of some film, and 0 of the film that is meant" in _taught(result, suggestions=wrong)


def test_lessons_turn_with_predicted_stars(result):
    assert "50% below" not in _stars(result, narrows=0.9, bias=0.8)
    assert "Here the biases are the better prediction" in _stars(result, narrows=0.9, bias=0.8)
    good = _stars(result, narrows=0.6, bias=0.8)
    assert "25% below the 0.800 of a user's and a film's bias" in good
    assert "the biases are the better prediction" not in good
    assert "Who knew all" not in _told(result, least_rmse=None)


def test_lessons_turn_with_the_lists(result):
    def with_gain(other, mean, error):
        gains = tuple(replace(gain, mean=mean, error=error) if gain.other == other else gain for gain in result.gains)
        return _told(result, gains=gains)

    assert "+0.200 ± 0.010: surely better." in with_gain("popular", 0.2, 0.01)
    assert "-0.200 ± 0.010: surely worse." in with_gain("popular", -0.2, 0.01)
    assert "not to be told apart" in with_gain("popular", 0.01, 0.01)
    assert "surely better, but not by much. It is hard to beat" in with_gain("ease", 0.01, 0.001)
    assert "EASE is the better one here. It is hard to beat" in with_gain("ease", -0.01, 0.001)
    far = with_gain("ease", 0.3, 0.001)
    assert "beside it: surely better." in far
    assert "hard to beat" not in far


def test_lessons_name_what_ranks(result):
    assert "What ranks is the linear autoencoder in closed form: " in _told(result, method="linear")
    both = _told(result, method="linear + multinomial")
    assert "the linear autoencoder in closed form and the multinomial autoencoder together: " in both


def test_lessons_turn_with_the_means(result):
    def with_ndcg(items, popular, **changes):
        scores = {"items": items, "popular": popular}
        ranking = tuple(replace(one, ndcg=scores.get(one.key, one.ndcg)) for one in result.ranking)
        return _told(result, ranking=ranking, **changes)

    few = with_ndcg(0.0, 0.2, best_mean_ratings=1)
    assert "the films with the highest means have one rating each" in few
    assert "these are two tasks" in few
    many = with_ndcg(0.1, 0.2, best_mean_ratings=50)
    assert "hardly anyone knows them" not in many
    assert "these are two tasks" not in with_ndcg(0.3, 0.2)


def test_lessons_turn_with_the_rest(result):
    assert "20 of 20 users get the same list from their history alone" in _told(result)
    assert "But in narrows only 19 of 20" in _told(result, n_same=19)
    assert "has not told it more" in _told(result, popular_in_group=10)
    assert "though no model was told" in _told(result, near_share=0.5, chance_share=0.1)
    assert "tells no taste here" in _told(result, near_share=0.1, chance_share=0.1)
    wide = tuple(replace(one, coverage=0.9) for one in result.ranking)
    assert "hardly ever recommended" not in _told(result, ranking=wide)
    narrow = tuple(replace(one, coverage=0.02) for one in result.ranking)
    assert "hardly ever recommended" in _told(result, ranking=narrow)
    assert "warned: beware." in _taught(result, warning="beware")
    assert "warned" not in _taught(result, warning=None)


# --- the command


@pytest.fixture
def command(result, monkeypatch):
    """Run the command on the result that is there already."""

    def instead(data, *, seed, progress):
        assert data in (None, "movielens-small", "made-up")
        progress("predicting stars", "")
        return replace(result, seed=seed)

    monkeypatch.setattr("narrows.labs.run_movies_lab", instead)
    app = typer.Typer()
    app.command("lab")(lab)
    return lambda *words: CliRunner().invoke(app, list(words), env={"COLUMNS": "80", "TERM": "dumb"})


def test_command_prints_numbers_and_writes_the_report(command, result, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "report.html"
    ran = command("movies", "--out", str(out))
    assert ran.exit_code == 0, ran.output
    assert "Lab 2, films: made-up ratings, not those of people" in ran.stdout
    assert max(len(line) for line in ran.stdout.splitlines() if not line.startswith("Report: ")) <= 80
    assert "…" not in ran.stdout
    for score in result.stars:
        assert re.search(rf"{score.name} +{score.rmse:.3f} +{score.mae:.3f}", ran.stdout)
    for film in result.recommended:
        assert film.title in ran.stdout
    assert "What this says" in ran.stdout
    assert "The ratings are made up" in ran.stdout
    assert "predicting stars" in ran.stderr
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_command_prints_json_alone(command):
    ran = command("movies", "--json", "--no-report", "--seed", "3", "--data", "made-up")
    found = json.loads(ran.stdout)
    assert found["report"] is None
    assert (found["seed"], found["name"]) == (3, "movies")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("movies", "--data", "mnist"), "The lab movies runs on movielens-small or made-up, not on 'mnist'"),
        (("vae", "--data", "made-up"), "The lab vae runs on digits or mnist, not on 'made-up'"),
        (("digits", "--data", "mnist"), "--data is for the labs vae and movies: the lab digits is one on digits"),
        (("movies", "--out", "no/such/folder/report.html"), "does not exist"),
    ],
)
def test_command_refuses_before_it_works(command, words, message):
    ran = command(*words)
    assert isinstance(ran.exception, DataError)
    assert message in str(ran.exception)
    assert "predicting stars" not in ran.output


@needs_movielens
@pytest.mark.slow
def test_on_movielens_the_numbers_are_the_known_ones():
    found = run_movies_lab("movielens-small", method="linear", n_splits=1)
    assert not found.made_up
    assert found.taught.validation_loss == pytest.approx(0.0120, abs=0.0001)
    assert found.stars_of("narrows").rmse < 0.82
    assert found.gain_over("popular").order == 1
    assert found.ranking_of("items").ndcg < 0.01
    assert "Toy Story 2 (1999)" in [film.title for film in found.similar]
    assert found.n_same == found.n_compared
