"""Laws of recommenders: a user is their history, whoever asks, in whatever form, however many at once."""

from __future__ import annotations

import copy
import os
import pickle
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import narrows
from conftest import recommenders
from narrows import DataError, Recommender
from narrows.recommend import Linear, Rating, read_interactions, split_users

if TYPE_CHECKING:
    from pathlib import Path

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

ALL = recommenders()
NAMES = ["linear", "truncated", "dae", "vae", "factors", "ensemble", "rating"]
BY_NAME = dict(zip(NAMES, ALL, strict=True))
each = pytest.mark.parametrize("estimator", ALL, ids=NAMES)
# The linear one has a second exact form, for logs of fewer users than items.
FORMS = [*NAMES, "dual"]
numbers = pytest.mark.parametrize("number", range(len(FORMS)), ids=FORMS)


@pytest.fixture(scope="module", autouse=True)
def quick_ratings():
    """What predicts ratings beside what ranks has no options of its own: make its defaults small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rating.__init__, "__defaults__", (3, 3, 3, 10.0))
        assert Rating() == Rating(3, 3, 3)
        yield


@pytest.fixture(scope="module")
def frame(films) -> pd.DataFrame:
    return films.to_frame()


@pytest.fixture(scope="module")
def wide() -> pd.DataFrame:
    return narrows.datasets.make_ratings(60, 110, 1500, n_tastes=4, random_state=1).to_frame()


@pytest.fixture(scope="module")
def fitted(frame, wide) -> list:
    """The log and the recommender, of every form."""
    return [*((frame, clone(e).fit(frame)) for e in ALL), (wide, clone(ALL[0]).fit(wide))]


def plain_linear(**options) -> Recommender:
    return Recommender(Linear(l2=50.0, popularity=0.15), validation_fraction=0, random_state=0, **options)


def history_of(log: pd.DataFrame, user: int, seed: int = 0) -> dict:
    mine = log[log.user == user].sample(frac=1, random_state=seed)
    return dict(zip(mine.item, mine.rating, strict=True))


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True), check_exact=True)


# A user is their history.


@numbers
def test_a_history_is_served_as_a_stored_user_is(fitted: list, number: int) -> None:
    log, model = fitted[number]
    everyone = model.recommend(k=9)
    lists = dict(list(everyone.groupby("user")))
    assert set(lists) == set(log.user)
    some = list(lists)[::9]
    for user, mine in lists.items():
        told = model.recommend_for(history_of(log, user, seed=user), k=9)
        same(told, mine.drop(columns="user"))
    for user in some:
        same(model.recommend(user, k=9), lists[user])
    same(model.recommend(some[::-1], k=9), pd.concat([lists[user] for user in some[::-1]]))
    others = log[log.user.isin(some)].sample(frac=1, random_state=0)
    same(model.recommend(k=9, histories=others), pd.concat([lists[user] for user in sorted(some)]))


@numbers
def test_predictions_are_of_the_history_alone(fitted: list, number: int) -> None:
    log, model = fitted[number]
    pairs = log.sample(200, random_state=0)[["user", "item"]]
    whole = model.predict(pairs)
    assert whole.user.tolist() == pairs.user.tolist()
    assert whole.item.tolist() == pairs.item.tolist()
    assert log.rating.min() <= whole.rating.min()
    assert whole.rating.max() <= log.rating.max()
    same(model.predict(pairs.iloc[::-1]).iloc[::-1], whole)
    for place in range(0, 200, 20):
        user, item = int(pairs.user.iloc[place]), int(pairs.item.iloc[place])
        alone = model.predict([(user, item)], histories=log[log.user == user].sample(frac=1, random_state=0))
        same(alone, whole.iloc[[place]])


@numbers
def test_lists_are_the_same_for_every_k(fitted: list, number: int) -> None:
    log, model = fitted[number]
    # Many ties: a user of one item has nothing to tell apart most others.
    short = pd.DataFrame({"user": np.arange(40), "item": np.sort(log.item.unique())[np.arange(40)]})
    for options in ({}, {"exclude_seen": False}, {"histories": short}):
        longest = model.recommend(k=log.item.nunique(), **options)
        for k in (1, 10, 200):
            same(model.recommend(k=k, **options), longest[longest["rank"] <= k])


@numbers
def test_lists_keep_to_the_rules(fitted: list, number: int) -> None:
    log, model = fitted[number]
    items = np.sort(log.item.unique())
    seen = set(zip(log.user, log.item, strict=True))
    among, excluded = items[::2].tolist(), items[:20].tolist()
    for options in ({}, {"among": among}, {"exclude": excluded}, {"among": among, "exclude": excluded}):
        for k in (3, len(items) + 10):
            found = model.recommend(k=k, **options)
            assert not seen & set(zip(found.user, found.item, strict=True))
            assert set(found.item) <= set(options.get("among", items.tolist())) - set(options.get("exclude", ()))
            assert np.isfinite(found.score).all()
            for _, mine in found.groupby("user"):
                assert mine["rank"].tolist() == list(range(1, len(mine) + 1))
                assert (np.diff(mine.score) <= 0).all()
                assert mine.item.is_unique
    counts = log.groupby("user").size()
    left = model.recommend(k=10**4).groupby("user").size()
    assert (left == len(items) - counts).all()
    assert (model.recommend(k=10**4, exclude_seen=False).groupby("user").size() == len(items)).all()
    assert list(model.recommend(k=2).columns) == ["user", "item", "score", "rank", "source"]
    assert len(model.recommend([], k=2)) == 0
    assert len(model.recommend(k=2, among=[])) == 0


@numbers
def test_who_has_no_history_gets_what_is_popular(fitted: list, number: int) -> None:
    log, model = fitted[number]
    liked = log[log.rating >= model.positive_from_]
    counts = liked.groupby("item").size().sort_values(ascending=False)
    found = model.recommend_for([], k=5)
    assert set(found.source) == {"popularity"}
    np.testing.assert_allclose(found.score, counts.iloc[:5] / log.user.nunique())
    assert (counts[found.item].to_numpy() == counts.iloc[:5].to_numpy()).all()
    stranger = log.user.max() + 1
    both = model.recommend([log.user.iloc[0], stranger], k=5)
    assert both.source.tolist() == ["model"] * 5 + ["popularity"] * 5
    same(both[5:].drop(columns="user"), found)
    strange = model.recommend_for({10**9: 5.0}, k=5)
    assert strange.item.tolist() == found.item.tolist()


def test_what_is_rated_low_is_seen_and_tells_nothing(frame) -> None:
    model = plain_linear(positive_from=3.0).fit(frame)
    items = model.items_.tolist()
    liked = {items[0]: 5.0, items[1]: 3.0}
    first = model.recommend_for(liked, k=70)
    second = model.recommend_for(liked | {items[2]: 2.5, items[3]: 0.5}, k=70)
    same(
        first[~first.item.isin(items[2:4])].drop(columns="rank").iloc[:60],
        second.drop(columns="rank").iloc[:60],
    )
    assert not set(second.item) & set(items[:4])
    # Of those who are liked it does not count how much; a list is of liked items.
    same(first, model.recommend_for([items[1], items[0]], k=70))
    assert set(model.recommend_for({items[2]: 1.0}, k=3).source) == {"popularity"}
    assert plain_linear().fit(frame).positive_from_ == frame.rating[frame.rating >= frame.rating.mean()].min()


ASKED = {
    "users": lambda model, ids, log: model.recommend(ids),
    "among": lambda model, ids, log: model.recommend_for([], among=ids),
    "exclude": lambda model, ids, log: model.recommend_for([], exclude=ids),
    "similar": lambda model, ids, log: model.similar_items(ids),
    "history": lambda model, ids, log: model.recommend_for(ids),
    "pairs": lambda model, ids, log: model.predict([(log.user[0], ids[0])]),
    "users of pairs": lambda model, ids, log: model.predict([(ids[0], log.item[0])]),
    "histories": lambda model, ids, log: model.recommend(histories=log.assign(item=ids[0])),
    "held out": lambda model, ids, log: model.evaluate(log.assign(item=ids[0])),
    "users held out": lambda model, ids, log: model.evaluate(log.assign(user=ids[0])),
    "titles": lambda model, ids, log: clone(model).fit(log, titles=dict.fromkeys(ids, "Heat")),
}


@pytest.mark.parametrize("argument", ASKED)
def test_ids_of_another_type_are_refused(argument: str, frame) -> None:
    numbers = frame.assign(user=frame.item)
    texts = numbers.assign(user=frame.item.astype(str), item=frame.item.astype(str))
    for log, wrong in ((numbers, ["7"]), (texts, [7])):
        model = plain_linear().fit(log)
        with pytest.raises(DataError):
            ASKED[argument](model, wrong, log)
    if argument not in ("histories", "held out", "users held out"):
        # A truth value equals a number, and is none.
        with pytest.raises(DataError):
            ASKED[argument](plain_linear().fit(numbers), [True], numbers)


def test_ids_keep_their_spelling_and_numbers_of_numpy_are_numbers() -> None:
    spellings = np.array(["7", "007", "7.0", " 7"] * 5, dtype=object)
    model = plain_linear().fit({"user": np.arange(20) // 4, "item": spellings})
    assert set(model.items_.tolist()) == set(spellings)
    assert model.recommend_for(["7"], k=9, exclude=["007"]).item.isin(["7.0", " 7"]).all()
    for make in (int, np.int32, np.uint8, np.int64):
        mine = {"user": [make(n // 4) for n in range(20)], "item": np.array([make(n % 4) for n in range(20)], object)}
        model = plain_linear().fit(mine)
        assert model.items_.tolist() == [0, 1, 2, 3]
        assert set(model.recommend_for([make(2)], exclude=np.array([3]), among=[make(1), 3, 10**9]).item) == {1}
    with pytest.raises(DataError, match="mixes"):
        read_interactions({"user": [1, 1], "item": np.array(["007", 7], dtype=object)})
    # One long text does not make the others as wide.
    long = ["x" * 10_000, *map(str, range(5000))]
    assert read_interactions({"user": [1] * 5001, "item": np.array(long, object)}).items.nbytes < 10**6


# What a fit depends on.


@each
def test_the_same_seed_gives_the_same_model_and_globals_stay(estimator, frame) -> None:
    np.random.seed(3)  # noqa: NPY002 - the global generator is what is watched here
    random.seed(3)
    torch.manual_seed(3)
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()  # noqa: NPY002
    states = (0, 0, np.random.RandomState(5), np.random.RandomState(5), None, 1)
    answers = [clone(estimator).set_params(random_state=state).fit(frame).recommend(k=5) for state in states]
    assert (before[0] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert before[1] == random.getstate()
    assert torch.equal(before[2], torch.get_rng_state())
    same(answers[0], answers[1])
    same(answers[2], answers[3])
    if not isinstance(estimator.method, Linear):
        assert not answers[0].score.equals(answers[5].score)
    again = clone(estimator).fit(frame[:500])
    same(again.fit(frame).recommend(k=5), answers[0])


@each
def test_the_order_of_the_log_changes_nothing(estimator, frame) -> None:
    expected = clone(estimator).fit(frame)
    shuffled = frame.sample(frac=1, random_state=0)[["rating", "item", "timestamp", "user"]]
    model = clone(estimator).fit(shuffled)
    same(model.recommend(k=6), expected.recommend(k=6))
    pairs = frame[:50][["user", "item"]]
    same(model.predict(pairs), expected.predict(pairs))


def forms_of(frame: pd.DataFrame, folder: Path) -> dict:
    """The same log, in all the forms it may have; ids are 0, 1, ... so that a matrix can say them."""
    frame.to_csv(folder / "log.csv", index=False)
    frame.to_parquet(folder / "log.parquet")
    entries = frame.rating.to_numpy(), (frame.user.to_numpy(), frame.item.to_numpy())
    return {
        "pandas": frame,
        "polars": pl.from_pandas(frame),
        "mapping": {name: frame[name].tolist() for name in frame},
        "arrays": {name: frame[name].to_numpy() for name in frame},
        "log": read_interactions(frame),
        "csr": sparse.csr_matrix(entries),
        "coo array": sparse.coo_array(entries),
        "csv": folder / "log.csv",
        "parquet": str(folder / "log.parquet"),
        "small types": frame.astype({"user": "uint16", "item": "int8", "rating": "float32"}),
        "nullable": frame.astype({"user": "Int64", "item": "Int32", "rating": "Float64"}),
        "floats": frame.astype({"user": "float64", "item": "float32"}),
        "categories": frame.astype({"user": "category", "item": "category"}),
    }


@pytest.mark.parametrize("estimator", [ALL[0], ALL[-1]], ids=["linear", "rating"])
def test_every_form_of_the_same_log_is_the_same(estimator, frame, tmp_path) -> None:
    numbered = frame[["user", "item", "rating"]].assign(
        user=frame.user.rank(method="dense").astype(int) - 1, item=frame.item.rank(method="dense").astype(int) - 1
    )
    expected = clone(estimator).fit(numbered)
    wanted = expected.recommend(k=5)
    pairs = numbered.iloc[:40]
    for name, form in forms_of(numbered, tmp_path).items():
        model = clone(estimator).fit(form)
        found = model.recommend(k=5)
        assert isinstance(found, pl.DataFrame) == (name == "polars")
        assert isinstance(model.predict(pairs), pl.DataFrame) == (name == "polars")
        columns = {column: found[column].to_numpy() for column in wanted}
        for column in wanted:
            np.testing.assert_array_equal(columns[column], wanted[column].to_numpy(), err_msg=name)
        same(expected.recommend(k=5, histories=form), wanted)
        same(expected.predict(pairs, histories=form), expected.predict(pairs))
    values = expected.evaluate(pairs, histories=numbered).values
    matrices = (forms_of(part, tmp_path)["csr"] for part in (pairs, numbered))
    np.testing.assert_equal(expected.evaluate(next(matrices), histories=next(matrices)).values, values)


@pytest.mark.parametrize("estimator", [ALL[0], ALL[-1]], ids=["linear", "rating"])
def test_input_is_left_alone(estimator, frame) -> None:
    kept = frame.copy(deep=True)
    as_arrays = {name: frame[name].to_numpy().copy() for name in ("user", "item", "rating")}
    for array in as_arrays.values():
        array.setflags(write=False)
    matrix = sparse.csr_matrix((as_arrays["rating"], (as_arrays["user"], as_arrays["item"])))
    matrix.data.setflags(write=False)
    log = read_interactions(frame)
    before = log.matrix.copy(), matrix.copy()
    for form in (frame, as_arrays, matrix, log):
        model = clone(estimator).fit(form)
        model.recommend(k=3, histories=form)
        model.evaluate(form, histories=form, metrics=["ndcg@5", "rmse"])
    same(frame, kept)
    for now, then in zip((log.matrix, matrix), before, strict=True):
        np.testing.assert_array_equal(now.data, then.data)
        np.testing.assert_array_equal(now.indices, then.indices)


@each
def test_clones_copies_and_options(estimator, frame) -> None:
    assert repr(clone(estimator).get_params()) == repr(estimator.get_params())
    with pytest.raises(NotFittedError):
        clone(estimator).recommend()
    model = clone(estimator).fit(frame)
    assert repr(model.get_params()) == repr(estimator.get_params())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        same(twin.recommend(k=4), model.recommend(k=4))
    with pytest.raises(NotFittedError):
        clone(model).predict([(1, 2)])


# Sizes.

SMALL = {
    "one": {"user": [1], "item": ["a"], "rating": [3.0]},
    "one user": {"user": [1, 1, 1, 1], "item": [1, 2, 3, 4], "rating": [1, 2, 3, 4.0]},
    "nothing in common": {"user": [1, 2, 3], "item": [1, 2, 3], "rating": [1, 2, 3.0]},
    "equal ratings": {"user": np.arange(90) % 30, "item": np.arange(90) % 7, "rating": np.full(90, 3.3)},
    "everyone has all": {"user": np.arange(300) // 10, "item": np.arange(300) % 10, "rating": np.arange(300) % 5 + 1.0},
    "an item nobody likes": {"user": [1, 1, 2, 2, 3], "item": [1, 2, 1, 2, 2], "rating": [5, 1, 5, 1, 1.0]},
    "zeros": {"user": np.arange(90) % 31, "item": np.arange(90) % 7, "rating": np.arange(90) % 2 - 0.0},
    "enormous": {"user": np.arange(90) % 31, "item": np.arange(90) % 7, "rating": (np.arange(90) % 5) * 1e30},
}  # fmt: skip


@pytest.mark.parametrize("rated", [True, False], ids=["ratings", "pairs"])
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("way", NAMES)
def test_every_size_works(way: str, name: str, rated: bool) -> None:
    log = SMALL[name] if rated else {key: SMALL[name][key] for key in ("user", "item")}
    if way == "rating" and not rated:
        with pytest.raises(DataError):
            clone(BY_NAME[way]).fit(log)
        return
    model = clone(BY_NAME[way]).fit(log)
    n_users, n_items = len(set(log["user"])), len(set(log["item"]))
    found = model.recommend(k=20, exclude_seen=False)
    assert len(found) == n_users * n_items
    assert np.isfinite(found.score).all()
    assert len(model.recommend(k=20)) == n_users * n_items - len(set(zip(log["user"], log["item"], strict=True)))
    assert len(model.similar_items(log["item"][0], k=20)) == n_items - 1
    assert str(model.evaluate(log)).count("\n") >= 2
    if rated:
        predicted = model.predict({"user": log["user"], "item": log["item"]}).rating
        assert np.isfinite(predicted).all()
        assert np.float32(min(log["rating"])) <= predicted.min()
        assert predicted.max() <= np.float32(max(log["rating"]))
    if name == "equal ratings" and rated:
        np.testing.assert_allclose(predicted, 3.3, rtol=1e-6)


IDS = {
    "huge": lambda n: n + 2**62,
    "unsigned": lambda n: (n + 2**62).astype(np.uint64) * np.uint64(2),
    "negative": lambda n: n - 10**6,
    "fractions": lambda n: n + 0.5,
    "text": lambda n: [f"naïve {x}\n\"{{}}', 漢字" for x in n],
    "whole numbers on both sides of 64 bits": lambda n: np.array(
        [-1 if x % 7 == 0 else 2**63 + int(x) for x in n], dtype=object
    ),
    "beyond 64 bits": lambda n: np.array([2**70 + int(x) for x in n], dtype=object),
}


@pytest.mark.parametrize("name", IDS)
def test_ids_come_back_as_they_went_in(name: str, frame, tmp_path) -> None:
    ids = pd.Series(IDS[name](frame.item.to_numpy()))
    others = pd.Series(IDS[name](frame.user.to_numpy()))
    log = pd.DataFrame({"user": others, "item": ids, "rating": frame.rating})
    model = plain_linear().fit(log)
    found = model.recommend(k=4)
    assert set(found.item) <= set(ids)
    assert set(found.user) == set(others)
    mine = model.recommend(others[0], k=4)
    assert set(mine.user) == {others[0]}
    same(mine.drop(columns="user"), found[found.user == others[0]].drop(columns="user"))
    assert model.similar_items(ids[0], k=1).item[0] == ids[0]
    model.save(tmp_path / "model.narrows")
    loaded = narrows.load(tmp_path / "model.narrows")
    assert loaded.items_.tolist() == model.items_.tolist()
    assert loaded.items_.dtype == model.items_.dtype
    same(loaded.recommend(k=4, histories=log), found)


# Measuring.


def test_evaluate_says_what_the_lists_and_predictions_say(frame) -> None:
    train, histories, held_out = split_users(frame, 0.3, held_out_fraction=0.3, random_state=0)
    model = plain_linear().fit(train)
    found = model.evaluate(held_out, histories=histories, metrics=("ndcg@7", "rmse"))
    asked = pd.DataFrame(held_out.columns())
    predicted = model.predict(asked, histories=histories).rating - asked.rating
    assert found.values["model"]["rmse"] == pytest.approx(np.sqrt((predicted**2).mean()), rel=1e-6)
    assert found.values["zero table"]["rmse"] == pytest.approx(np.sqrt((asked.rating**2).mean()), rel=1e-6)
    means = pd.DataFrame(train.columns()).groupby("item").rating.mean()
    off = asked.item.map(means).fillna(pd.DataFrame(train.columns()).rating.mean()) - asked.rating
    assert found.values["item means"]["rmse"] == pytest.approx(np.sqrt((off**2).mean()), rel=1e-6)
    liked = asked[asked.rating >= model.positive_from_]
    lists = dict(list(model.recommend(k=7, histories=histories).groupby("user")))
    gains = 1 / np.log2(np.arange(2, 9))
    ndcg = {}
    for user, mine in liked.groupby("user"):
        hits = lists[user].item.isin(mine.item).to_numpy()
        ndcg[user] = (hits * gains).sum() / gains[: len(mine)].sum()
    assert found.users.tolist() == sorted(ndcg)
    np.testing.assert_allclose(found.per_user["model"]["ndcg@7"], list(ndcg.values()))
    assert found.to_frame().method.tolist() == list(found.values)
    assert np.isnan(found.values["zero table"]["ndcg@7"])


def test_evaluate_beats_popularity_where_there_are_tastes(frame) -> None:
    train, histories, held_out = split_users(frame, 0.4, random_state=0)
    for name in NAMES[:-1]:
        found = clone(BY_NAME[name]).fit(train).evaluate(held_out, histories=histories, metrics=["ndcg@20"])
        values = {name: value["ndcg@20"] for name, value in found.values.items()}
        assert values["model"] > values["popularity"] > values["item means"]


def test_evaluate_measures_what_is_recommended(frame) -> None:
    model = clone(BY_NAME["rating"]).fit(frame)
    strangers = frame.assign(user=frame.user + 10**6)
    found = model.evaluate(strangers, metrics="ndcg@10").values
    assert found["model"]["ndcg@10"] == pytest.approx(found["popularity"]["ndcg@10"])


@pytest.mark.parametrize("zero", [1.0, 0.0])
def test_what_is_in_the_history_is_not_to_be_found(zero: float) -> None:
    rng = np.random.default_rng(0)
    log = {"user": rng.integers(0, 40, 400), "item": rng.integers(0, 30, 400), "rating": rng.integers(1, 4, 400) * 1.0}
    model = plain_linear(positive_from=2.0).fit(log)
    histories = {"user": [1, 1, 2], "item": [3, 4, 5], "rating": [zero, zero, 3.0]}
    asked = {"user": [1, 1, 2, 2], "item": [3, 6, 5, 7], "rating": [3.0, 3.0, 3.0, 3.0]}
    # Of each user one of the two is left, and lists of all items find it.
    found = model.evaluate(asked, histories=histories, metrics="recall@1000000000000").values
    assert found["model"]["recall@1000000000000"] == 1.0


def test_all_that_is_measured_is_on_the_device(frame, monkeypatch) -> None:
    from narrows.recommend import evaluation

    handed: list = []

    def lists(scorer, rows, k, device, **options):
        handed.append((scorer, device))
        return np.full((rows.shape[0], k), -1), np.full((rows.shape[0], k), np.nan, np.float32)

    def numbers(scorer, rows, pairs, device):
        handed.append((scorer, device))
        return np.zeros(len(pairs[0]), np.float32)

    model = plain_linear().fit(frame)
    model.set_params(device="meta")
    monkeypatch.setattr(evaluation, "best_items", lists)
    monkeypatch.setattr(evaluation, "scores_at", numbers)
    model.evaluate(frame.assign(user=10**6))
    assert len(handed) == 8
    for scorer, device in handed:
        assert device.type == "meta"
        assert {part.device.type for part in [*scorer.buffers(), *scorer.parameters()]} == {"meta"}


def test_similar_items_are_those_of_the_same_group() -> None:
    groups = np.random.default_rng(0).random((80, 20)) < np.kron(np.eye(2), np.full((40, 10), 0.5))
    users, items = np.nonzero(groups)
    for estimator in ALL[:-1]:
        model = clone(estimator).fit({"user": users, "item": items})
        found = model.similar_items(np.arange(20), k=9)
        assert (found.item // 10 == found.similar // 10).mean() > 0.95
        assert (found.item != found.similar).all()
        assert (np.diff(found.score.to_numpy().reshape(20, 9)) <= 0).all()
    with pytest.raises(DataError):
        model.similar_items([1, 99])


def test_titles_stand_beside_the_items(frame, films, tmp_path) -> None:
    titles = pd.DataFrame({"movieId": list(films.titles), "title": list(films.titles.values()), "genre": "none"})
    titles.to_csv(tmp_path / "titles.csv", index=False)
    for form in (films.titles, titles, pl.from_pandas(titles), tmp_path / "titles.csv"):
        model = plain_linear().fit(frame, titles=form)
        found = model.recommend(k=3)
        assert found.title.tolist() == [films.titles[item] for item in found.item]
        near = model.similar_items(model.items_[0], k=3)
        assert near.title.tolist() == [films.titles[item] for item in near.similar]
    some = plain_linear().fit(frame, titles={int(frame.item[0]): "Known"}).recommend(k=80, exclude_seen=False)
    assert set(some.title) == {"Known", ""}
    for junk in (3, ["a"], {"a"}):
        with pytest.raises(DataError):
            plain_linear().fit(frame, titles=junk)


# Memory: bounded by what is stored, not by users times items.

MEASURE = """
import os, resource, numpy as np
from narrows import Recommender
from narrows.recommend import Linear, Multinomial, Rating, read_interactions
n_users, n_items = 90_000, 2_000
rng = np.random.default_rng(0)
log = {"user": rng.integers(0, n_users, 100_000), "item": (rng.random(100_000) ** 2 * n_items).astype(int)}
rated = read_interactions(log | {"rating": rng.integers(1, 6, 100_000)})
plain = read_interactions(log)
busy = {"user": np.arange(100_000) // 250, "item": np.arange(100_000) * 7919 % 997, "rating": np.arange(100_000) % 5}
few = {name: column[:16_000] for name, column in busy.items()}
small = {"n_components": 8, "hidden": 8, "max_epochs": 1}
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for name, method, data, histories in [
    ("vae", Multinomial(**small), plain, None),
    ("rating", Rating(2, 2, 2), rated, None),
    ("linear", Linear(100, 0.15), plain, None),
    ("long, dual", Linear(100, 0.15), busy, busy),
    ("long, rating", Rating(iterations=1), busy, few),
]:
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    before = peak()
    model = Recommender(method, validation_fraction=0, random_state=0, rating="auto" if "rating" in name else None)
    model.fit(data)
    if histories is None:
        model.recommend(list(range(300)), k=5)
    else:
        before = peak()
        model.recommend(k=5, histories=histories)
    print(name, peak() - before, sep=":", flush=True)
    os._exit(0)
"""


def test_memory_is_bounded_by_what_is_stored() -> None:
    if not hasattr(os, "fork") or sys.platform != "linux":
        pytest.skip("processes are not forked here, or count their memory in other units")
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    found = {name: float(value) for name, value in (line.split(":") for line in done.stdout.splitlines())}
    assert len(found) == 5, done.stderr
    # The table has 180 million numbers, 720 megabytes; the log 100,000. The exact weights are 16 megabytes, the scores
    # of a block of long histories 1.6.
    for name, megabytes in found.items():
        assert megabytes < (60 if "long" in name else 200), name


def test_columns_may_be_named_or_left_out(frame) -> None:
    expected = plain_linear().fit(frame).recommend(k=3)
    odd = frame.rename(columns={"user": "a", "item": "b", "rating": "c", "timestamp": "d"})[["d", "c", "b", "a"]]
    same(plain_linear(user="a", item="b", rating="c").fit(odd).recommend(k=3), expected)
    pairs = plain_linear(rating=None).fit(frame)
    assert pairs.positive_from_ is None
    same(pairs.recommend(k=3), plain_linear().fit(frame[["user", "item"]]).recommend(k=3))
    with pytest.raises(DataError, match="stars"):
        plain_linear(rating="stars").fit(frame)
