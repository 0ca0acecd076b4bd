"""The recommender as taught: that its numbers are what it says, and that they say what they should."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import torch

from narrows import datasets
from narrows.datasets import Ratings, make_ratings
from narrows.errors import DataError
from narrows.labs import movies_taught
from narrows.labs.movies_taught import run_taught

needs_movielens = pytest.mark.skipif(not os.environ.get("NARROWS_DATA"), reason="NARROWS_DATA is not set")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def ratings():
    # As empty as tables of ratings are: 97 % of the cells.
    return make_ratings(300, 400, 4000, random_state=0)


@pytest.fixture(scope="module")
def result(ratings):
    return run_taught(ratings)


def table_of(ratings):
    users, rows = np.unique(ratings.user, return_inverse=True)
    items, columns = np.unique(ratings.item, return_inverse=True)
    table = np.zeros((len(users), len(items)))
    table[rows, columns] = ratings.rating / 5
    return users, items, table


def test_sizes(result, ratings):
    assert (result.n_users, result.n_train, result.n_validation, result.n_ratings) == (300, 240, 60, 4000)
    assert result.layers == (result.n_items, 512, 256, 512, result.n_items)
    assert result.n_items == len(np.unique(ratings.item))
    assert (result.epochs, result.steps, result.output) == (50, 50, "sigmoid")
    assert len(result.history) == 50


def test_its_loss_is_about_that_of_saying_zero(result):
    assert result.validation_loss == pytest.approx(result.zero_loss, rel=0.1)
    assert result.mean_row_loss < result.validation_loss
    assert result.mean_stars < 0.2 * result.true_mean_stars
    assert "the mean row rebuilds the training rows themselves better" in result.warning


def test_its_stars_are_far_worse_than_a_mean(result):
    assert result.rmse_network > 2 * result.rmse_mean
    assert result.rmse_network == pytest.approx(result.rmse_zero, rel=0.1)
    assert result.rmse_item_mean < result.rmse_mean


def test_the_simple_answers_are_what_they_are_elsewhere(result, ratings):
    from sklearn.model_selection import train_test_split

    _, _, table = table_of(ratings)
    train, validation = train_test_split(table, test_size=0.2, random_state=42)
    assert result.zero_loss == pytest.approx((validation**2).mean(), rel=1e-5)
    assert result.mean_row_loss == pytest.approx(((validation - train.mean(0)) ** 2).mean(), rel=1e-5)
    assert result.n_hidden == round(0.1 * np.count_nonzero(validation))
    # The hidden ratings are a sample of the held-out users'.
    stars = 5 * validation[validation > 0]
    assert result.rmse_zero == pytest.approx(np.sqrt((stars**2).mean()), rel=0.15)
    assert result.rmse_mean == pytest.approx(stars.std(), rel=0.25)


def test_what_is_hidden_is_hidden_from_the_network_and_the_means(monkeypatch, ratings):
    shown = []

    class Mirror:
        """Says what it is shown, so that it is right about nothing that was hidden."""

        n_steps_, history_, stopped_ = 0, [], "budget"

        def fit(self, rows, labels):
            return self

        def reconstruct(self, rows):
            shown.append(rows)
            return rows

    monkeypatch.setattr(movies_taught, "_network", lambda *_: Mirror())
    result = run_taught(ratings)
    assert result.validation_loss == 0
    assert result.rmse_network == result.rmse_zero
    assert result.mean_stars == 0
    whole, hidden, _ = shown
    assert np.count_nonzero(whole) - np.count_nonzero(hidden) == result.n_hidden


def test_the_printed_numbers_are_positions_among_the_unseen(result, ratings):
    users, items, table = table_of(ratings)
    assert result.user == users[0]
    unseen = items[table[0] == 0]
    assert result.n_unseen == len(unseen)
    films = ratings.titles
    assert len(result.suggestions) == 10
    for line in result.suggestions:
        assert unseen[line.printed] == line.item
        assert line.title == films[line.item]
        assert line.names_film == (line.printed in films)
        assert line.read_title == films.get(line.printed)
        assert line.right == (line.printed == line.item)
    assert result.n_named == sum(line.printed in films for line in result.suggestions)
    # Ids begin above 100 and have gaps, so no position can be right.
    assert result.n_right == 0
    stars = [line.stars for line in result.suggestions]
    assert stars == sorted(stars, reverse=True)


def test_the_list_is_that_of_the_highest_scores_and_ties_are_counted(monkeypatch):
    user, item = np.divmod(np.arange(60), 12)
    ratings = Ratings(user, item + 1, rating=np.full(60, 4.0))
    # The first user has not rated the films 2, 5, ...
    kept = (user > 0) | (item % 3 != 1)
    ratings = Ratings(user[kept], item[kept] + 1, rating=ratings.rating[kept])

    class Fixed:
        n_steps_, history_, stopped_ = 0, [], "budget"

        def fit(self, rows, labels):
            return self

        def reconstruct(self, rows):
            return np.tile([0.9, 0, 0, 0, 0.2, 0, 0, 0, 0, 0, 0, 0], (len(rows), 1))

    monkeypatch.setattr(movies_taught, "_network", lambda *_: Fixed())
    result = run_taught(ratings)
    # Unseen are 2, 5, 8, 11; the seen film 1 would be best. Positions count from 0, so "1" stands for film 5.
    assert [(line.printed, line.item) for line in result.suggestions] == [(1, 5), (0, 2), (2, 8), (3, 11)]
    assert [line.names_film for line in result.suggestions] == [True, False, True, True]
    assert [line.title for line in result.suggestions] == [None] * 4
    assert (result.n_unseen, result.n_tied, result.n_named, result.n_right) == (4, 3, 3, 0)


def test_same_seed_same_numbers_and_no_global_generator_touched(ratings):
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    one, again, other = (run_taught(ratings, seed=seed, max_epochs=2) for seed in (0, 0, 1))
    assert one == again
    assert one.validation_loss != other.validation_loss
    assert one.zero_loss == other.zero_loss
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), torch_state)


def test_another_user_another_split_another_output(ratings, result):
    user = int(np.unique(ratings.user)[-1])
    other = run_taught(ratings, user=user, split_seed=1, output="identity", max_epochs=1)
    assert (other.user, other.split_seed, other.output) == (user, 1, "identity")
    assert other.zero_loss != result.zero_loss
    fitted = [run_taught(ratings, user=int(number), max_epochs=1).user_was_fitted for number in (user, result.user)]
    from sklearn.model_selection import train_test_split

    train, _ = train_test_split(np.arange(300), test_size=0.2, random_state=42)
    assert fitted == [299 in train, 0 in train]


def test_progress_is_told(ratings):
    told = []
    run_taught(ratings, max_epochs=2, progress=lambda stage, detail: told.append((stage, detail)))
    assert {stage for stage, _ in told} == {"laying out the table", "fitting the network as taught", "measuring"}
    assert any(detail.startswith("pass 2, error 0.") for _, detail in told)


def test_the_result_goes_to_json(result):
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["validation_loss"] == result.validation_loss
    assert plain["suggestions"][0]["printed"] == result.suggestions[0].printed
    assert plain["n_named"] == result.n_named
    assert "history" not in plain


@pytest.mark.parametrize("sizes", [(5, 1, 5), (8, 5, 20), (40, 30, 200)])
def test_small_tables(sizes):
    result = run_taught(make_ratings(*sizes, random_state=0), max_epochs=1)
    assert np.isfinite([result.validation_loss, result.rmse_network, result.rmse_item_mean]).all()
    assert len(result.suggestions) == min(10, result.n_unseen)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rated": False}, "is fitted to stars, and made-up has none"),
        ({"n_users": 4, "n_ratings": 40}, "at least 5, not 4"),
    ],
)
def test_ratings_that_will_not_do(changes, message):
    sizes = {"n_users": 20, "n_items": 30, "n_ratings": 100, **changes}
    with pytest.raises(DataError, match=message):
        run_taught(make_ratings(**sizes, random_state=0))


@pytest.mark.parametrize(("stars", "message"), [(0.0, "0 to 3"), (10.0, "3 to 10"), (np.nan, "nan")])
def test_stars_out_of_range(stars, message):
    ids = np.arange(10)
    with pytest.raises(DataError, match="above 0 and at most 5; here they are " + message):
        run_taught(Ratings(ids, ids, rating=np.append(np.full(9, 3.0), stars)))


def test_a_table_too_large(monkeypatch, ratings):
    monkeypatch.setattr(movies_taught, "MOST_CELLS", 1000)
    with pytest.raises(DataError, match=r"300 users by .* too large a table"):
        run_taught(ratings)


@pytest.mark.parametrize("user", [5, 10**9])
def test_a_user_that_is_not_there(user, ratings):
    with pytest.raises(DataError, match=f"no user {user} among the 300"):
        run_taught(ratings, user=user)


@needs_movielens
def test_the_users_of_the_course_have_the_loss_of_the_course():
    result = run_taught(datasets.load_ratings("movielens-small"), max_epochs=1)
    assert (result.n_users, result.n_items, result.n_train, result.n_validation) == (610, 9724, 488, 122)
    assert f"{result.zero_loss:.4f}" == "0.0120"
    assert result.mean_row_loss < 0.9 * result.zero_loss
    assert result.n_hidden == 2766


@needs_movielens
@pytest.mark.slow
def test_movielens_as_taught():
    result = run_taught(datasets.load_ratings("movielens-small"))
    assert result.validation_loss == pytest.approx(result.zero_loss, rel=0.005)
    assert result.rmse_network > 3.5
    assert result.rmse_item_mean < result.rmse_mean < 1.1
    # Next to all films have one and the same score, "0", so the list is theirs in the order of ids.
    assert result.n_tied > 1000
    assert result.n_right == 0
