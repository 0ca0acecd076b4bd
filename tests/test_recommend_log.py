"""Logs: what can be read, what each bad one is told, and how they are parted."""

from __future__ import annotations

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


def test_entries_of_a_matrix_add_up_and_are_ratings_unless_all_are_one() -> None:
    for dtype in ("float32", "int64", "uint8"):
        twice = sparse.coo_array((np.array([200, 100, 7], dtype), ([0, 0, 1], [0, 0, 1])), shape=(2, 2))
        log = read_interactions(twice)
        assert log.matrix.toarray().tolist() == [[300, 0], [0, 7]]
        assert log.rated
        for again in (twice, log):
            plain = read_interactions(again, Columns(rating=None))
            assert not plain.rated
            assert plain.matrix.toarray().tolist() == [[1, 0], [0, 1]]
    assert not read_interactions(sparse.csr_array([[True, True], [False, True]])).rated


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
    aligned = log.align(Ids(np.array([1, 2])))
    assert len(aligned) == 4
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
    with pytest.raises(DataError):
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
    "nothing": None,
    "a list": [(1, 2)],
    "a dense table": np.ones((3, 3)),
    "no columns": pd.DataFrame(),
    "one column": {"user": [1]},
    "no rows": pl.DataFrame(GOOD)[:0],
    "no entries": sparse.csr_array((3, 3)),
    "columns of two lengths": {"user": [1, 2], "item": [1]},
    "a column of a table": {"user": np.ones((2, 2)), "item": [1, 2]},
    "NaN users": {"user": [1, np.nan, 3, 3], "item": [1, 2, 2, 3]},
    "infinite users": {"user": [1, np.inf, 3, 3], "item": [1, 2, 2, 3]},
    "None items": GOOD | {"item": ["a", None, "b", None]},
    "NaN among texts": pd.DataFrame(GOOD | {"item": ["a", np.nan, "b", "c"]}),
    "NA items": pd.DataFrame(GOOD).assign(item=pd.array([1, None, 2, 3], "Int64")),
    "null users": pl.DataFrame(GOOD | {"user": [1, None, 2, 2]}),
    "empty texts": pd.DataFrame(GOOD | {"item": ["a", "", "b", "b"]}),
    "ids of two kinds": pd.DataFrame(GOOD | {"item": ["a", 1, "b", 2]}),
    "lists": pd.DataFrame(GOOD | {"item": [[1], [2], [1], [2]]}),
    "tuples": pd.DataFrame(GOOD | {"user": [(1, 2), (1, 2), (2, 2), (3, 2)]}),
    "bytes": GOOD | {"item": [b"1", b"2", b"2", b"3"]},
    "days": GOOD | {"user": np.array([1, 1, 2, 3], "M8[D]")},
    "complex ids": GOOD | {"item": np.array([1j, 2, 3, 4])},
    "NaN ratings": GOOD | {"rating": [1, 2, np.nan, np.nan]},
    "null ratings": pl.DataFrame(GOOD | {"rating": [1, 2, 3, None]}),
    "infinite ratings": GOOD | {"rating": [1, 2, 3, -np.inf]},
    "ratings beyond float32": GOOD | {"rating": [1, 2, 3, 1e300]},
    "ratings in words": GOOD | {"rating": ["good", "bad", "1", "2"]},
    "complex ratings": GOOD | {"rating": np.array([1j, 2, 3, 4])},
    "NaN times": GOOD | {"time": [1, 2, np.nan, 4]},
    "missing dates": pd.DataFrame(GOOD).assign(date=pd.to_datetime(["2020", None, "2021", "2022"])),
    "times in words": GOOD | {"date": ["yesterday", "12/31/2020", "", "now"]},
    "times in bytes": GOOD | {"date": np.array([b"1", b"2", b"3", b"4"])},
    "a matrix with NaN": sparse.csr_array([[np.nan, 1.0]]),
    "a complex matrix": sparse.csr_array([[1j, 1.0]]),
    "no file": "/nowhere/log.csv",
    "a file of another kind": __file__,
}


@pytest.mark.parametrize("name", BAD_LOGS)
def test_bad_logs_are_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(DataError) as caught:
        Recommender(Linear(10.0), validation_fraction=0).fit(BAD_LOGS[name])
    assert len(str(caught.value).splitlines()) == 1


def test_files_keep_ids_whole(tmp_path) -> None:
    big = 2**60
    lines = "".join(f"{big + k},{big + 7 + 2 * k},{k % 5}\n" for k in range(9))
    (tmp_path / "log.csv").write_text("userId,itemId,rating\n" + lines)
    log = read_interactions(tmp_path / "log.csv")
    assert (log.users - big).tolist() == list(range(9))
    assert (log.items - big - 7).tolist() == list(range(0, 18, 2))
    (tmp_path / "text.tsv").write_text("user\titem\nu1\t001\nu2\t01x\n")
    assert read_interactions(tmp_path / "text.tsv").items.tolist() == ["001", "01x"]
    (tmp_path / "zeros.csv").write_text("user,item\n1,007\n1,7\n2,08\n")
    assert read_interactions(tmp_path / "zeros.csv").items.tolist() == ["007", "08", "7"]


TIMES = {
    "dates": ["2020-01-01", "2020-03-01", "2020-02-01"],
    "zones": ["2020-01-01T10:00:00Z", "2020-01-01T12:00:00Z", "2020-01-01T11:00:00Z"],
    "spaces": ["2020-01-01 10:00:00", "2020-01-01 12:00:00", "2020-01-01 11:00:00.5"],
    "pandas": pd.to_datetime(["2020-01-01", "2020-03-01", "2020-02-01"], utc=True),
    "days": np.array(["2020-01-01", "2020-03-01", "2020-02-01"], "M8[D]"),
    "objects": np.array([date(2020, month, 1) for month in (1, 3, 2)], dtype=object),
    "epochs": ["1577836800", "1583020800", "1580515200"],
    "floats": [1.5, 3.5, 2.5],
    "nullable": pd.array([1, 3, 2], "Int64"),
}


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
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


def test_what_makes_no_sense_is_refused(model) -> None:
    with pytest.raises(DataError, match="unheard of"):
        model.similar_items("unheard of")
    for k in (0, 2.5, "5", None, True):
        with pytest.raises(ValueError, match="k must be"):
            model.recommend(k=k)
        with pytest.raises(ValueError, match="k must be"):
            model.similar_items(model.items_[0], k=k)
    for name, value in (
        ("method", "best"),
        ("method", 3),
        ("positive_from", "mean"),
        ("positive_from", float("nan")),
        ("positive_from", 99.5),
        ("validation_fraction", 1.0),
        ("random_state", -1),
        ("device", "toaster"),
        ("user", "nobody"),
    ):
        with pytest.raises((ValueError, TypeError), match=str(value)):
            Recommender(**{name: value}).fit(GOOD | {"rating": [1, 2, 3, 4]})


# Parting.


@pytest.fixture(scope="module")
def films_log(films) -> Interactions:
    return read_interactions(films)


def test_users_are_parted(films_log: Interactions) -> None:
    counts = np.diff(films_log.matrix.indptr)
    times = dict(zip(entries(films_log), films_log.times.tolist(), strict=True))
    for fraction, hidden, least in ((0.2, 0.2, 5), (0.5, 0.5, 2), (0.3, 0.9, 20)):
        options = {"held_out_fraction": hidden, "min_items": least}
        parts = split_users(films_log, fraction, **options, random_state=0)
        train, histories, held_out = parts
        assert sum(map(len, parts)) == len(films_log)
        assert {key: value for part in parts for key, value in entries(part).items()} == entries(films_log)
        able = (counts >= least).sum()
        assert len(histories.users) == round(fraction * able)
        assert not set(train.users) & set(histories.users)
        assert histories.users.tolist() == held_out.users.tolist()
        own = counts[np.isin(films_log.users, held_out.users)]
        assert (np.diff(held_out.matrix.indptr) == np.clip(np.round(hidden * own), 1, own - 1)).all()
        assert set(films_log.users[counts < least]) <= set(train.users)
        for part in parts:
            assert part.items.tolist() == films_log.items.tolist()
            # The times go with their entries.
            assert dict(zip(entries(part), part.times.tolist(), strict=True)).items() <= times.items()
        again = split_users(films_log, fraction, **options, random_state=0)
        assert [entries(part) for part in again] == [entries(part) for part in parts]
        other = split_users(films_log, fraction, **options, random_state=1)
        assert other[1].users.tolist() != histories.users.tolist()


def test_the_last_are_those_with_the_latest_times(films) -> None:
    frame = films.to_frame()
    few = frame.groupby("user").size()
    for n in (1, 3):
        train, held_out = split_last(frame, n)
        expected = frame.sort_values(["user", "timestamp"]).groupby("user").tail(n)
        expected = expected[expected.user.map(few) > n]
        assert set(entries(held_out)) == set(zip(expected.user, expected.item, strict=True))
        assert len(train) + len(held_out) == len(frame)
    ties = {"user": [1] * 4 + [2], "item": [4, 3, 2, 1, 1], "timestamp": [5, 9, 9, 9, 1]}
    shuffled = {name: column[::-1] for name, column in ties.items()}
    for n in (1, 2, 3):
        _, held_out = split_last(ties, n)
        assert len(held_out) == n
        assert 4 not in held_out.columns()["item"]
        assert entries(split_last(shuffled, n)[1]) == entries(held_out)
    for bad in (lambda: split_last(ties, 4), lambda: split_last(GOOD)):
        with pytest.raises(DataError):
            bad()


def test_chance_takes_exactly_its_share(films_log: Interactions) -> None:
    for share in (0.001, 0.1, 0.5):
        train, held_out = split_random(films_log, share, random_state=0)
        assert len(held_out) == round(share * len(films_log))
        assert entries(train) | entries(held_out) == entries(films_log)
        assert len(train) + len(held_out) == len(films_log)
    users = held_out.columns()["user"]
    assert len(np.unique(users)) > 0.9 * len(films_log.users)
    assert entries(split_random(films_log, 0.5, random_state=1)[1]) != entries(held_out)


BAD_SPLITS = {
    "few users": lambda: split_users(GOOD, 0.5),
    "no users": lambda: split_users(GOOD, 0.0),
    "all users": lambda: split_users(GOOD, 1.0),
    "nothing to find": lambda: split_users(GOOD, held_out_fraction=0),
    "one item": lambda: split_users(GOOD, min_items=1),
    "no last item": lambda: split_last(GOOD | {"time": [1, 2, 3, 4]}, 0),
    "no entry": lambda: split_random(GOOD, 1e-6),
    "a word": lambda: split_random(GOOD, "half"),
    "nothing": lambda: split_random(None),
}


@pytest.mark.parametrize("name", BAD_SPLITS)
def test_splits_that_make_no_sense(name: str) -> None:
    with pytest.raises(ValueError):
        BAD_SPLITS[name]()
