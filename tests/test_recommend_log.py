"""Logs: what can be read, what each bad one is told, and how they are parted."""

from __future__ import annotations

import contextlib
from datetime import date

import numpy as np
import pytest
from scipy import sparse

import narrows
from narrows import DataError, Recommender
from narrows.recommend import Columns, Interactions, Linear, read_interactions, split_last, split_random, split_users
from narrows.recommend.ids import Ids

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")


def entries(log: Interactions) -> dict:
    columns = log.columns()
    values = columns.get("rating", np.ones(len(log)))
    return dict(zip(zip(columns["user"].tolist(), columns["item"].tolist(), strict=True), values.tolist(), strict=True))


def test_a_log_is_its_entries() -> None:
    log = read_interactions({"user": ["b", "a", "b"], "item": [7, 7, 3], "rating": [1, 2, 3], "time": [30, 20, 10]})
    assert log.users.tolist() == ["a", "b"]
    assert log.items.tolist() == [3, 7]
    assert log.matrix.toarray().tolist() == [[0, 2], [3, 1]]
    assert log.times.tolist() == [20, 10, 30]
    assert log.rated
    assert entries(log) == {("a", 7): 2, ("b", 3): 3, ("b", 7): 1}
    assert repr(log) == "Interactions(3 ratings of 2 users with 2 items)"
    assert repr(read_interactions({"user": [1], "item": [2]})) == "Interactions(1 interactions of 1 users with 1 items)"
    again = read_interactions(log.columns())
    assert entries(again) == entries(log)
    assert read_interactions(log) is log


def test_of_a_pair_that_comes_twice_the_last_counts() -> None:
    log = {"user": [1, 1, 1, 2], "item": [5, 5, 5, 5], "rating": [3.0, 1.0, 2.0, 4.0]}
    assert entries(read_interactions(log)) == {(1, 5): 2.0, (2, 5): 4.0}
    timed = log | {"timestamp": [10, 30, 20, 0]}
    assert entries(read_interactions(timed)) == {(1, 5): 1.0, (2, 5): 4.0}
    assert read_interactions(timed).times.tolist() == [30, 0]
    tied = log | {"timestamp": [10, 10, 10, 0]}
    assert entries(read_interactions(tied)) == {(1, 5): 2.0, (2, 5): 4.0}
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 9, 500), rng.integers(0, 9, 500)
    expected = {}
    for place in range(500):
        expected[users[place], items[place]] = float(place)
    assert entries(read_interactions({"user": users, "item": items, "rating": np.arange(500)})) == expected


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
def test_entries_of_a_matrix_add_up(dtype: str) -> None:
    twice = sparse.coo_array((np.array([200, 100, 7], dtype), ([0, 0, 1], [0, 0, 1])), shape=(2, 2))
    assert read_interactions(twice).matrix.toarray().tolist() == [[300, 0], [0, 7]]


def test_a_matrix_without_its_values() -> None:
    counts = sparse.csr_array([[1, 3], [0, 2]])
    assert read_interactions(counts).rated
    plain = read_interactions(counts, Columns(rating=None))
    assert not plain.rated
    assert plain.matrix.toarray().tolist() == [[1, 1], [0, 1]]
    assert not read_interactions(sparse.csr_array([[True, True], [False, True]])).rated
    assert not read_interactions(
        read_interactions({"user": [1, 1], "item": [1, 2], "rating": [3, 4]}), Columns(rating=None)
    ).rated


def test_a_row_of_ones_is_of_ratings_where_the_log_was() -> None:
    table = np.random.default_rng(0).integers(0, 6, (40, 15))
    table[3] = np.minimum(table[3], 1)
    table[3, :4] = 1, 1, 0, 0
    model = Recommender(Linear(50.0), validation_fraction=0, random_state=0).fit(sparse.csr_array(table))
    stored = model.recommend(3, k=4).drop(columns="user")
    assert set(stored.source) == {"popularity"}
    row = sparse.csr_array(table[[3]])
    assert model.recommend_for(row, k=4).equals(stored)
    alone = np.zeros_like(table)
    alone[3] = table[3]
    assert model.recommend(3, k=4, histories=sparse.csr_array(alone)).drop(columns="user").equals(stored)


ZERO = {"user": [1, 1, 2, 2], "item": [1, 2, 1, 2], "rating": [0.0, 2.0, -3.0, 0.0]}


def test_a_rating_of_zero_is_a_rating() -> None:
    log = read_interactions(ZERO)
    assert len(log) == 4
    assert entries(log) == {(1, 1): 0.0, (1, 2): 2.0, (2, 1): -3.0, (2, 2): 0.0}
    assert len(log.select_users(np.array([1]))) == 2
    assert len(log.select_entries(np.array([True, False, True, True]))) == 3
    matrix, unknown = log.align(Ids(np.array([1, 2])))
    assert matrix.nnz == 4
    assert unknown.tolist() == [0, 0]
    model = Recommender(Linear(1.0), positive_from=0.0, validation_fraction=0).fit(ZERO)
    assert model.recommend(k=5).empty


# Columns.


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["userId", "movieId", "rating", "timestamp"], ("userId", "movieId", "rating", "timestamp")),
        (["stars", "Movie ID", "date", "USER"], ("USER", "Movie ID", "stars", "date")),
        (["who", "what"], ("who", "what", None, None)),
        (["rating", "who", "what"], ("who", "what", "rating", None)),
        (["title", "user", "x"], ("user", "title", None, None)),
        (["isbn", "uid"], ("uid", "isbn", None, None)),
        (["", "who", "index", "what"], ("who", "what", None, None)),
    ],
)
def test_columns_are_found(names: list[str], expected: tuple) -> None:
    found = Columns().resolve(names)
    assert (found.user, found.item, found.rating, found.timestamp) == expected


def test_columns_that_are_named_are_no_other_column() -> None:
    found = Columns(item="score").resolve(["user", "score"])
    assert (found.item, found.rating) == ("score", None)
    found = Columns(timestamp="rating").resolve(["user", "item", "rating"])
    assert (found.rating, found.timestamp) == (None, "rating")
    with pytest.raises(DataError, match="'a' cannot be that of items and of something else"):
        Columns(user="a", item="a").resolve(["a", "b"])


@pytest.mark.parametrize(
    "names",
    [
        ("kunde", "ware", "stars"),
        ("userId", "ware", "stars"),
        (0, 1, 2),
    ],
    ids=["odd", "half odd", "numbers"],
)
def test_later_frames_have_the_columns_of_the_log(names: tuple) -> None:
    made = narrows.datasets.make_ratings(60, 30, 700, n_tastes=3, random_state=0).to_frame()
    log = made[["user", "item", "rating"]].set_axis(list(names), axis=1)
    model = Recommender(Linear(20.0), validation_fraction=0, random_state=0).fit(log)
    user = made.user[0]
    expected = model.recommend(user, k=4).drop(columns="user")
    mine = log[log[names[0]] == user]
    for part in (mine, mine[list(names[::-1])]):
        assert model.recommend_for(part, k=4).equals(expected)
        assert model.recommend(user, k=4, histories=part).drop(columns="user").equals(expected)
    if "stars" in names:
        assert set(model.predict(mine).source) == {"model"}


# What is refused, in one sentence.

GOOD = {"user": [1, 1, 2, 3], "item": [1, 2, 2, 3]}
BAD_LOGS = {
    "nothing": (None, "a log of ratings is a frame with columns"),
    "a number": (3, "a log of ratings is a frame with columns"),
    "a list": ([(1, 2)], "a log of ratings is a frame with columns"),
    "a dense table": (np.ones((3, 3)), "a log of ratings is a frame with columns"),
    "no columns": (pd.DataFrame(), "a log needs a column of users"),
    "one column": ({"user": [1]}, "none to take for items"),
    "no rows": ({"user": [], "item": []}, "has no rows"),
    "no rows in a frame": (pd.DataFrame(GOOD)[:0], "has no rows"),
    "no rows in polars": (pl.DataFrame(GOOD)[:0], "has no rows"),
    "no entries": (sparse.csr_array((3, 3)), "has no rows"),
    "columns of two lengths": ({"user": [1, 2], "item": [1]}, "different lengths"),
    "a column of a table": ({"user": np.ones((2, 2)), "item": [1, 2]}, "'user'"),
    "a column of one value": ({"user": 5, "item": [1]}, "'user'"),
    "NaN users": ({"user": [1, np.nan, 3, 3], "item": [1, 2, 2, 3]}, "1 users are missing, the first in row 1"),
    "infinite users": ({"user": [1, np.inf, 3, 3], "item": [1, 2, 2, 3]}, "users are missing"),
    "None items": (GOOD | {"item": ["a", None, "b", None]}, "2 items are missing, the first in row 1"),
    "NaN among texts": (pd.DataFrame(GOOD | {"item": ["a", np.nan, "b", "c"]}), "1 items are missing"),
    "NA items": (pd.DataFrame(GOOD).assign(item=pd.array([1, None, 2, 3], "Int64")), "1 items are missing"),
    "null users": (pl.DataFrame(GOOD | {"user": [1, None, 2, 2]}), "1 users are missing"),
    "null texts": (pl.DataFrame(GOOD | {"item": ["a", None, "b", "b"]}), "1 items are missing"),
    "empty texts": (GOOD | {"item": ["a", "", "b", "b"]}, "1 items are missing"),
    "ids of two kinds": (pd.DataFrame(GOOD | {"item": ["a", 1, "b", 2]}), "column .item. mixes ids of .*int.*str"),
    "lists": (pd.DataFrame(GOOD | {"item": [[1], [2], [1], [2]]}), "column 'item' holds ids of type list"),
    "dictionaries": (GOOD | {"item": [{"a": 1}, {}, {}, {}]}, "column 'item' holds ids of type dict"),
    "complex ids": (GOOD | {"item": np.array([1j, 2, 3, 4])}, "'item'"),
    "NaN ratings": (GOOD | {"rating": [1, 2, np.nan, np.nan]}, "2 ratings are missing or infinite, the first in row 2"),
    "None ratings": (GOOD | {"rating": [1, 2, 3, None]}, "1 ratings are missing"),
    "null ratings": (pl.DataFrame(GOOD | {"rating": [1, 2, 3, None]}), "1 ratings are missing"),
    "infinite ratings": (GOOD | {"rating": [1, 2, 3, -np.inf]}, "1 ratings are missing or infinite"),
    "ratings beyond float32": (GOOD | {"rating": [1, 2, 3, 1e300]}, "ratings are missing or infinite"),
    "ratings in words": (GOOD | {"rating": ["good", "bad", "1", "2"]}, "holds ratings that are no numbers"),
    "complex ratings": (GOOD | {"rating": np.array([1j, 2, 3, 4])}, "holds ratings that are no numbers"),
    "NaN times": (GOOD | {"time": [1, 2, np.nan, 4]}, "lacks times"),
    "missing dates": (pd.DataFrame(GOOD).assign(date=pd.to_datetime(["2020", None, "2021", "2022"])), "lacks times"),
    "times in words": (GOOD | {"date": ["yesterday", "12/31/2020", "", "now"]}, "neither numbers nor dates"),
    "times in bytes": (GOOD | {"date": np.array([b"1", b"2", b"3", b"4"])}, "neither numbers nor dates"),
    "a matrix with NaN": (sparse.csr_array([[np.nan, 1.0]]), "missing or infinite"),
    "a complex matrix": (sparse.csr_array([[1j, 1.0]]), "must hold numbers"),
    "no file": ("/nowhere/log.csv", "does not exist"),
    "a file of another kind": (__file__, "csv"),
}


@pytest.mark.parametrize("name", BAD_LOGS)
def test_bad_logs_are_refused_in_one_sentence(name: str) -> None:
    data, message = BAD_LOGS[name]
    with pytest.raises(DataError, match=message) as caught:
        Recommender(Linear(10.0), validation_fraction=0).fit(data)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("library", ["pyarrow", "lazy polars"])
def test_tables_of_other_libraries_are_read_or_refused(library: str) -> None:
    table = pytest.importorskip("pyarrow").table(GOOD) if library == "pyarrow" else pl.DataFrame(GOOD).lazy()
    with contextlib.suppress(DataError):
        assert entries(read_interactions(table)) == entries(read_interactions(GOOD))


def test_files_keep_ids_whole(tmp_path) -> None:
    big = 2**60
    lines = "".join(f"{big + k},{big + 7 + 2 * k},{k % 5}\n" for k in range(9))
    (tmp_path / "log.csv").write_text("userId,itemId,rating\n" + lines)
    log = read_interactions(tmp_path / "log.csv")
    assert (log.users - big).tolist() == list(range(9))
    assert (log.items - big - 7).tolist() == list(range(0, 18, 2))
    (tmp_path / "text.tsv").write_text("user\titem\nu1\t001\nu2\t01x\n")
    assert read_interactions(tmp_path / "text.tsv").items.tolist() == ["001", "01x"]


@pytest.mark.parametrize(
    "times",
    [
        ["2020-01-01", "2020-03-01", "2020-02-01"],
        ["2020-01-01T10:00:00Z", "2020-01-01T12:00:00Z", "2020-01-01T11:00:00Z"],
        ["2020-01-01 10:00:00", "2020-01-01 12:00:00", "2020-01-01 11:00:00.5"],
        pd.to_datetime(["2020-01-01", "2020-03-01", "2020-02-01"]),
        pd.to_datetime(["2020-01-01", "2020-03-01", "2020-02-01"], utc=True),
        np.array(["2020-01-01", "2020-03-01", "2020-02-01"], "M8[D]"),
        np.array([date(2020, month, 1) for month in (1, 3, 2)], dtype=object),
        ["1577836800", "1583020800", "1580515200"],
        [1.5, 3.5, 2.5],
        [-3, -1, -2],
        pd.array([1, 3, 2], "Int64"),
        np.array([1, 3, 2], np.uint8),
    ],
    ids=str,
)
def test_times_of_every_kind_are_put_in_order(times) -> None:
    frame = pd.DataFrame({"user": [1, 1, 1], "item": ["a", "b", "c"], "when": times})
    train, held_out = split_last(frame, columns=Columns(timestamp="when"))
    assert held_out.columns()["item"].tolist() == ["b"]
    assert sorted(train.columns()["item"].tolist()) == ["a", "c"]


# Histories, pairs and lists of ids.


@pytest.fixture(scope="module")
def model() -> Recommender:
    made = narrows.datasets.make_ratings(60, 30, 700, n_tastes=3, random_state=0).to_frame()
    log = made.assign(item=made.item.map("i{}".format))
    return Recommender(Linear(20.0), validation_fraction=0, random_state=0).fit(log)


def test_a_history_may_have_many_forms(model) -> None:
    first, second, third = model.items_[:3].tolist()
    rated = {first: 5.0, second: 1.0, third: 4.5}
    expected = model.recommend_for(rated, k=9)
    pairs = list(rated.items())
    forms = [
        pairs,
        pairs[::-1],
        [list(pair) for pair in pairs],
        {key: np.float32(value) for key, value in pairs},
        pd.DataFrame({"item": list(rated), "rating": list(rated.values())}),
        pd.DataFrame({"user": 7, "item": list(rated), "rating": list(rated.values())}),
        pl.DataFrame({"rating": list(rated.values()), "item": list(rated)}),
        read_interactions({"user": [1] * 3, "item": list(rated), "rating": list(rated.values())}),
        pd.Series(rated),
        {**rated, "unheard of": 5.0},
        iter(pairs),
    ]
    for form in forms:
        assert model.recommend_for(form, k=9).equals(expected)
    liked = model.recommend_for([first, third], k=9)
    for form in ((first, third), {first, third}, np.array([third, first]), iter([first, third]), [first, third, first]):
        assert model.recommend_for(form, k=9).equals(liked)
    nothing = model.recommend_for([], k=9)
    for form in ({}, (), pd.DataFrame({"item": [], "rating": []}), ["unheard of"], set()):
        found = model.recommend_for(form, k=9)
        assert found[["item", "source"]].equals(nothing[["item", "source"]])


BAD_HISTORIES = {
    "nothing": None,
    "a number": 5,
    "one id": "i101",
    "lists of triples": [["i101", 5.0, 1]],
    "many users": read_interactions({"user": [1, 2], "item": ["i101", "i103"]}),
    "many rows": sparse.csr_array((3, 30)),
    "a rating that is none": {"i101": float("nan")},
    "ratings in words": {"i101": "good"},
}


BAD_PAIRS = {
    "no pairs": None,
    "a number for pairs": 3,
    "numbers": [1, 2, 3],
    "triples": [(1, "i101", 3)],
    "two lengths": {"user": [1, 2], "item": ["i101"]},
    "one length for all": {"user": [1], "item": ["i101", "i103"]},
}


@pytest.mark.parametrize("name", [*BAD_PAIRS, *BAD_HISTORIES])
def test_bad_histories_and_pairs_are_refused_in_one_sentence(name: str, model) -> None:
    with pytest.raises(DataError) as caught:
        model.predict(BAD_PAIRS[name]) if name in BAD_PAIRS else model.recommend_for(BAD_HISTORIES[name], k=3)
    assert len(str(caught.value).splitlines()) == 1


def test_pairs_may_have_many_forms(model) -> None:
    users, items = [101, 10**6, 101], [model.items_[0], model.items_[1], "unheard of"]
    expected = model.predict(list(zip(users, items, strict=True)))
    assert len(expected) == 3
    assert expected.source.iloc[2] == "mean"
    for form in (
        {"user": users, "item": items},
        pd.DataFrame({"item": items, "user": users}),
        pl.DataFrame({"user": users, "item": items}),
        zip(users, items, strict=True),
    ):
        assert model.predict(form).equals(expected)
    assert model.predict([]).empty


def test_users_and_items_that_make_no_sense(model) -> None:
    with pytest.raises(DataError, match="ids of the model are numbers"):
        model.recommend("someone", k=2)
    with pytest.raises(DataError, match="never seen item 'unheard of'"):
        model.similar_items("unheard of")
    for k in (0, -1, 2.5, "5", None, True):
        with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
            model.recommend(k=k)
        with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
            model.similar_items(model.items_[0], k=k)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "best"}, "'best'"),
        ({"method": 3}, "method must be a name or a value such as"),
        ({"positive_from": "mean"}, "positive_from must be a number"),
        ({"positive_from": float("nan")}, "positive_from must be a number"),
        ({"positive_from": 99.0}, "no rating reaches positive_from=99"),
        ({"validation_fraction": 1.0}, "validation_fraction must be a number of at least 0 and below 1"),
        ({"random_state": -1}, "random_state must be"),
        ({"device": "toaster"}, "device 'toaster' is not to be had"),
        ({"user": "nobody"}, "no column 'nobody' for users"),
    ],
)
def test_options_that_make_no_sense(options: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        Recommender(**options).fit(GOOD | {"rating": [1, 2, 3, 4]})


# Parting.


@pytest.fixture(scope="module")
def films_log(films) -> Interactions:
    return read_interactions(films)


def test_users_are_parted(films_log: Interactions) -> None:
    everything = entries(films_log)
    counts = np.diff(films_log.matrix.indptr)
    for share, hidden, least in ((0.2, 0.2, 5), (0.5, 0.5, 2), (0.3, 0.9, 20)):
        parts = split_users(films_log, share, held_out_fraction=hidden, min_items=least, random_state=0)
        train, told, asked = parts
        together = [pair for part in parts for pair in entries(part)]
        assert len(together) == len(set(together)) == len(films_log)
        assert {key: value for part in parts for key, value in entries(part).items()} == everything
        able = (counts >= least).sum()
        assert len(told.users) == len(asked.users) == round(share * able)
        assert not set(train.users) & set(told.users)
        assert told.users.tolist() == asked.users.tolist()
        assert (np.diff(told.matrix.indptr) >= 1).all()
        for mine, all_of_mine in zip(
            np.diff(asked.matrix.indptr), counts[np.isin(films_log.users, asked.users)], strict=True
        ):
            assert mine == min(max(1, round(hidden * all_of_mine)), all_of_mine - 1)
        assert set(films_log.users[counts < least]) <= set(train.users)
        for part in parts:
            assert part.items.tolist() == films_log.items.tolist()
            assert len(part.times) == len(part)
        # The times go with their entries.
        times = dict(zip(entries(films_log), films_log.times.tolist(), strict=True))
        assert dict(zip(entries(asked), asked.times.tolist(), strict=True)).items() <= times.items()
        again = split_users(films_log, share, held_out_fraction=hidden, min_items=least, random_state=0)
        assert [entries(part) for part in again] == [entries(part) for part in parts]
    other = split_users(films_log, 0.3, held_out_fraction=0.9, min_items=20, random_state=1)
    assert other[1].users.tolist() != told.users.tolist()


def test_the_last_are_those_with_the_latest_times(films) -> None:
    frame = films.to_frame()
    for n in (1, 3):
        train, held_out = split_last(frame, n)
        ordered = frame.sort_values(["user", "timestamp"])
        expected = ordered.groupby("user").tail(n)
        few = frame.groupby("user").size()
        expected = expected[expected.user.map(few) > n]
        assert set(entries(held_out)) == set(zip(expected.user, expected.item, strict=True))
        assert len(train) + len(held_out) == len(frame)
        assert not set(entries(train)) & set(entries(held_out))
    ties = {"user": [1] * 4 + [2], "item": [4, 3, 2, 1, 1], "timestamp": [5, 9, 9, 9, 1]}
    for n in (1, 2, 3):
        train, held_out = split_last(ties, n)
        assert len(held_out) == n
        assert 4 not in held_out.columns()["item"]
        assert set(held_out.columns()["user"]) == {1}
        shuffled = {name: column[::-1] for name, column in ties.items()}
        assert entries(split_last(shuffled, n)[1]) == entries(held_out)
    with pytest.raises(DataError, match="no user has more than 4 items"):
        split_last(ties, 4)
    with pytest.raises(DataError, match="needs a column of times"):
        split_last(GOOD)


def test_chance_takes_exactly_its_share(films_log: Interactions) -> None:
    for share in (0.001, 0.1, 0.5):
        train, held_out = split_random(films_log, share, random_state=0)
        assert len(held_out) == round(share * len(films_log))
        assert entries(train) | entries(held_out) == entries(films_log)
        assert len(train) + len(held_out) == len(films_log)
    users = held_out.columns()["user"]
    assert len(np.unique(users)) > 0.9 * len(films_log.users)
    assert entries(split_random(films_log, 0.5, random_state=1)[1]) != entries(held_out)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_users(GOOD, 0.5), "too few to hold some out"),
        (lambda: split_users(GOOD, 0.0), "test_fraction must be"),
        (lambda: split_users(GOOD, 1.0), "test_fraction must be"),
        (lambda: split_users(GOOD, held_out_fraction=0), "held_out_fraction must be"),
        (lambda: split_users(GOOD, min_items=1), "min_items must be a whole number of at least 2"),
        (lambda: split_last(GOOD | {"time": [1, 2, 3, 4]}, 0), "n must be a whole number of at least 1"),
        (lambda: split_random(GOOD, 1e-6), "cannot be held out"),
        (lambda: split_random(GOOD, "half"), "test_fraction must be"),
        (lambda: split_random(None), "a log of ratings is"),
    ],
)
def test_partings_that_make_no_sense(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
