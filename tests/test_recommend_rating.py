"""Predicted ratings: held against the bias model, against what ratings were made from, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

import narrows
from narrows import DataError, Recommender
from narrows.recommend import Linear, Rating, read_interactions, split_random, split_users
from narrows.recommend.rating import fit_rating
from narrows.recommend.scorers import bags_of, fit_biases, item_means, popularity_of

pd = pytest.importorskip("pandas")


def scores_of(scorer, rows) -> np.ndarray:
    with torch.no_grad():
        return scorer(bags_of(sparse.csr_array(rows))).numpy()


def silent(line: str) -> None:
    """Say nothing."""


def quickly(**options) -> Rating:
    return Rating(**({"n_components": 4, "n_features": 4, "iterations": 15} | options))


# The simple answers.


def test_biases_by_hand() -> None:
    # Mean 4. The first film: (1 + 0) / (2 + 3); the second: -1 / (1 + 3).
    table = np.array([[5.0, 3.0], [4.0, 0.0]])
    scorer = fit_biases(sparse.csr_array(table), rounds=1)
    np.testing.assert_allclose(scorer.items.numpy(), [4.2, 3.75], rtol=1e-6)
    # A user of one rating, 5, is 0.8 above, and a sixth of that is believed; without any, there is no bias.
    np.testing.assert_allclose(scores_of(scorer, [[5.0, 0.0]]), [[4.2 + 0.8 / 6, 3.75 + 0.8 / 6]], rtol=1e-6)
    np.testing.assert_allclose(scores_of(scorer, sparse.csr_array((1, 2))), [[4.2, 3.75]], rtol=1e-6)
    np.testing.assert_allclose(item_means(sparse.csr_array(table)), [4.5, 3.0])
    np.testing.assert_allclose(item_means(sparse.csr_array([[5.0, 0.0]])), [5.0, 5.0])
    np.testing.assert_allclose(popularity_of(sparse.csr_array(table)), [1.0, 0.5])


def test_many_rounds_of_biases_are_the_least_squares() -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(1, 6, (40, 15)) * (rng.random((40, 15)) < 0.4)
    users, items = np.nonzero(table)
    values = table[users, items] - table[users, items].mean()
    # The ridge regression on dummies, with a penalty of 3 on items and 5 on users.
    design = np.zeros((len(values), 55))
    design[np.arange(len(values)), users] = design[np.arange(len(values)), 40 + items] = 1.0
    penalty = np.diag(np.r_[np.full(40, 5.0), np.full(15, 3.0)])
    solved = np.linalg.solve(design.T @ design + penalty, design.T @ values)
    scorer = fit_biases(sparse.csr_array(table.astype(np.float32)), rounds=200)
    np.testing.assert_allclose(scorer.items.numpy(), table[users, items].mean() + solved[40:], atol=1e-4)
    expected = scorer.items.numpy() + solved[:40, None]
    np.testing.assert_allclose(scores_of(scorer, table.astype(np.float32)), expected, atol=1e-4)


# What ratings were made from.

NOISE = 0.3


@pytest.fixture(scope="module")
def factors() -> tuple[dict, np.ndarray]:
    """Ratings of two factors, a quality, a bias and noise; and the table they were drawn from."""
    rng = np.random.default_rng(0)
    truth = 3 + rng.normal(size=(350, 2)) @ rng.normal(size=(2, 70)) * 0.7 + 0.4 * rng.normal(size=70)
    truth += 0.5 * rng.normal(size=(350, 1))
    users, items = np.nonzero(rng.random(truth.shape) < 0.3)
    ratings = truth[users, items] + NOISE * rng.normal(size=len(users))
    return {"user": users, "item": items, "rating": ratings}, truth


@pytest.fixture(scope="module")
def of_factors(factors) -> Recommender:
    return Recommender(quickly(), random_state=0).fit(split_random(factors[0], 0.2, random_state=0)[0])


def test_factors_are_found_again(factors, of_factors: Recommender) -> None:
    log, truth = factors
    _, held_out = split_random(log, 0.2, random_state=0)
    found = of_factors.evaluate(held_out, metrics=["rmse", "mae"]).values
    rmse = {name: value["rmse"] for name, value in found.items() if not np.isnan(value["rmse"])}
    assert rmse["model"] < 0.5 * rmse["user and item bias"]
    assert rmse["user and item bias"] < rmse["item means"] < rmse["zero table"]
    # Little more than what cannot be foretold.
    assert NOISE * 0.95 < rmse["model"] < 1.35 * NOISE
    assert found["model"]["mae"] < 0.5 * found["user and item bias"]["mae"]
    unseen = of_factors.predict(held_out)
    off = unseen.rating - truth[unseen.user, unseen.item]
    assert np.sqrt((off**2).mean()) < 0.8 * NOISE


def test_a_short_history_is_no_worse_than_none() -> None:
    # Users with few ratings are none of those of the fit.
    made = narrows.datasets.make_ratings(500, 120, 20_000, n_tastes=4, random_state=0).to_frame()
    counts = made.groupby("user").size()
    made = made[made.user.map(counts) >= 20]
    train, histories, held_out = split_users(made, 0.3, held_out_fraction=0.5, random_state=0)
    model = Recommender(quickly(iterations=20), random_state=0).fit(train)
    told, asked = (pd.DataFrame(part.columns()) for part in (histories, held_out))
    for n in (1, 3, 10):
        few = told.groupby("user").head(n)
        found = model.evaluate(asked, histories=few, metrics="rmse").values
        assert found["model"]["rmse"] < found["item means"]["rmse"]
        assert found["model"]["rmse"] < 1.02 * found["user and item bias"]["rmse"]
    stranger = [(10**9, item) for item in model.items_.tolist()]
    nobody = model.predict(stranger, histories=told)
    means = fit_biases(read_interactions(train).matrix).items.numpy()
    assert set(nobody.source) == {"item"}
    assert np.sqrt(((nobody.rating - means) ** 2).mean()) < 0.5 * means.std()


def test_units_are_those_of_the_log_and_zero_is_a_rating(factors) -> None:
    log, _ = factors
    stars = np.clip(np.rint(log["rating"]), 1, 5)
    plain = Recommender(quickly(iterations=5), random_state=0).fit(log | {"rating": stars})
    moved = Recommender(quickly(iterations=5), random_state=0).fit(log | {"rating": 8 * (stars - 3)})
    pairs = pd.DataFrame({"user": np.arange(300), "item": np.arange(300) % 70})
    np.testing.assert_allclose(moved.predict(pairs).rating, 8 * (plain.predict(pairs).rating - 3), atol=1e-4)
    few = {"user": [5, 5, 5], "item": [1, 2, 3], "rating": [3.0, 3.0, 5.0]}
    found = moved.predict([(5, 9)], histories=few | {"rating": [0.0, 0.0, 16.0]}).rating
    np.testing.assert_allclose(found, 8 * (plain.predict([(5, 9)], histories=few).rating - 3), atol=1e-4)


def test_ratings_that_are_far_off_count_less(factors) -> None:
    log, truth = factors
    rng = np.random.default_rng(1)
    wild = log["rating"].copy()
    places = rng.random(len(wild)) < 0.03
    wild[places] += rng.choice([-12.0, 12.0], places.sum())
    errors = []
    for freedom in (3.0, 1e6):
        model = Recommender(quickly(degrees_of_freedom=freedom), random_state=0).fit(log | {"rating": wild})
        found = model.predict({"user": log["user"], "item": log["item"]}).rating
        errors.append(np.sqrt(((found - truth[log["user"], log["item"]]) ** 2)[~places].mean()))
    assert errors[0] < 0.85 * errors[1]


def test_nothing_is_as_it_was_rated_when_it_is_left_out(factors) -> None:
    # What is left of a rating is passed on as if the rating had not been there: a user's own ratings are smoothed.
    log = pd.DataFrame(factors[0])
    model = Recommender(quickly(), random_state=0).fit(log)
    first = log.groupby("user").head(1)
    within = model.predict(first).rating.to_numpy() - first.rating.to_numpy()
    without = model.predict(first, histories=log.drop(first.index)).rating.to_numpy() - first.rating.to_numpy()
    assert np.sqrt((within**2).mean()) < np.sqrt((without**2).mean()) < 2 * NOISE


def test_what_is_left_of_a_rating_goes_to_similar_items_only(factors, monkeypatch) -> None:
    from narrows.recommend import rating

    scorer = fit_rating(read_interactions(factors[0]).matrix, quickly(iterations=2), seed=0, log=silent)
    items = torch.tensor([3, 8, 20])
    left, trust = torch.tensor([1.0, -0.5, 2.0]), torch.tensor([1.0, 0.7, 0.4])
    directions = scorer.directions.double().numpy()
    near = np.maximum(directions[items] @ directions.T, 0) ** 2 * trust.numpy()[:, None]
    # A rating says nothing of itself.
    near[[0, 1, 2], items] = 0
    expected = left.numpy() @ near / (near.sum(0) + rating.SMOOTHING)
    np.testing.assert_allclose(scorer.neighbor_residuals(items, left, trust).numpy(), expected, atol=1e-6)
    monkeypatch.setattr(rating, "CHUNK_ITEMS", 2)
    np.testing.assert_allclose(scorer.neighbor_residuals(items, left, trust).numpy(), expected, atol=1e-6)


def test_where_predictions_come_from(factors) -> None:
    log, _ = factors
    for method in (quickly(iterations=3), Linear(50.0)):
        model = Recommender(method, validation_fraction=0, random_state=0).fit(log)
        found = model.predict([(0, 0), (10**6, 0), (0, 10**6), (10**6, 10**6)])
        assert found.source.tolist() == ["model", "item", "mean", "mean"]
        assert found.rating[2] == found.rating[3] == pytest.approx(np.mean(log["rating"]), rel=1e-5)
    pairs = Recommender(Linear(50.0), validation_fraction=0).fit({"user": log["user"], "item": log["item"]})
    with pytest.raises(DataError):
        pairs.predict([(0, 0)])
    # A history without ratings foretells none.
    bare = {"user": log["user"], "item": log["item"]}
    assert set(model.predict([(0, 0)], histories=bare).source) == {"item"}
