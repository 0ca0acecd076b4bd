"""Recommenders on the command line: recommend, evaluate, fit --model recommender, and what other verbs say of them."""

import csv
import json
import sys

import numpy as np
import pytest

import narrows
import plain_tables as tables
from narrows.cli import main
from narrows.cli.errors import CommandError
from narrows.cli.recommend.ratings_input import RatingsInput, typed, typed_users
from narrows.errors import DataError
from narrows.recommend import Linear, read_interactions
from narrows.recommend.titles import ItemNames, read_history, read_items

QUICK = ["--method", "linear(l2=50)"]
USERS, FILMS = 90, 60

TITLES = {
    1: "Toy Story (1995)",
    2: "Toy Story 2 (1999)",
    3: "Godfather, The (1972)",
    4: "Godfather: Part II, The (1974)",
    5: "Heat (1995)",
    6: "Heat (1986)",
    7: "Good, the Bad and the Ugly, The (1966)",
    8: "300 (2007)",
    9: '"Great Performances" Cats (1998)',
    10: "'burbs, The (1989)",
    11: "Amélie (2001)",
    300: "Alien (1979)",
}


def _write(path, names, columns):
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter="\t" if path.suffix == ".tsv" else ",", lineterminator="\n")
        writer.writerows([names, *zip(*columns, strict=True)])


def _table(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def ratings():
    """A log whose titles have commas in them."""
    made = narrows.datasets.make_ratings(USERS, FILMS, 1800, n_tastes=4, random_state=0)
    titles = {item: f"Film, The {item} ({1900 + item % 100})" for item in made.titles}
    return narrows.datasets.Ratings(made.user, made.item, made.rating, made.timestamp, titles)


@pytest.fixture(scope="module")
def home(tmp_path_factory, ratings):
    """A log in several forms, titles, and recommenders of logs with ratings and without."""
    folder = tmp_path_factory.mktemp("recommend")
    columns = list(ratings.columns().values())
    _write(folder / "log.csv", ["userId", "movieId", "rating", "timestamp"], columns)
    _write(folder / "odd.tsv", ["note", "what", "who"], [["x"] * len(ratings), ratings.item, ratings.user])
    tables.write(folder / "bare.csv", np.stack([ratings.user, ratings.item], axis=1))
    texts = [[f"u{user}" for user in ratings.user], [f"film {item}" for item in ratings.item]]
    _write(folder / "texts.csv", ["user", "item"], texts)
    _write(folder / "films.csv", ["movieId", "title", "genres"], [*zip(*ratings.titles.items()), ["drama"] * FILMS])  # noqa: B905
    _write(folder / "other.csv", ["movieId", "title"], [[1, 2], ["One", "Two"]])
    (folder / "few.csv").write_text("movieId\n" + "\n".join(map(str, sorted(ratings.titles)[:5])) + "\n")
    (folder / "one.csv").write_text("user\n1\n2\n")
    (folder / "headless.csv").write_text("ann,heat,5\nann,alien,4\n")
    (folder / "fractions.csv").write_text("height,weight\n1.5,2.5\n1.2,7\n")
    (folder / "gaps.csv").write_text("user,item,rating\n1,a,5\n1,b,\n2,a,3\n")
    (folder / "nobody.csv").write_text("user,item\nx,a\n,b\n")
    (folder / "words.csv").write_text("user,item,rating\nx,a,good\ny,b,bad\n")
    (folder / "dates.csv").write_text("user,item,date\n1,a,yesterday\n1,b,today\n2,a,now\n")
    (folder / "notes.txt").write_text("hello")
    fit = ["--model", "recommender", "-q", *QUICK]
    for name, more in (("log", ["--items", folder / "films.csv"]), ("texts", [])):
        arguments = ["fit", folder / f"{name}.csv", "-o", folder / f"{name}.narrows", *fit, *more]
        assert main([str(argument) for argument in arguments]) == 0
    arguments = ["fit", folder / "bare.csv", "-o", folder / "ae.narrows", "--max-epochs", "1", "-q"]
    assert main([str(argument) for argument in arguments]) == 0
    return folder


def _record(printed):
    return json.loads(printed.out)


# Start


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Toy Story (1995)::5, Heat (1995)::4", [(1, 5.0), (5, 4.0)]),
        ("Godfather, The (1972)::4.5,300::1", [(3, 4.5), (300, 1.0)]),
        ("300 (2007)", [8]),
        ("the GODFATHER", [3]),
        ("godfather, the, toy story,", [3, 1]),
        ("Good, the Bad and the Ugly, The (1966) :: 3 , Alien::2", [(7, 3.0), (300, 2.0)]),
        ('"Godfather, The (1972)"::5, "amelie"::1', [(3, 5.0), (11, 1.0)]),
        ('"Great Performances" Cats (1998), \'burbs, The', [9, 10]),
        ("good, the bad", [7]),
        ("4, 5, 6", [4, 5, 6]),
        ("toy story 2", [2]),
    ],
)
def test_a_history_is_read(text, found):
    assert read_history(text, ItemNames(TITLES, TITLES)) == found


@pytest.mark.parametrize(
    "text",
    ["heat", "toy", "Godfater, The (1972)::5", "qqqqq, Alien", "77", "alien::good", "alien::nan", "alien::", " , ", ""],
)
def test_a_history_that_cannot_be_meant(text):
    with pytest.raises(DataError):
        read_history(text, ItemNames(TITLES, TITLES))
    with pytest.raises(DataError, match="Amélie"):
        read_history("alien::5, amelie", ItemNames(TITLES, TITLES))


def test_items_of_one_title_are_told_apart_by_ids():
    names = ItemNames([7, 8], {7: "Emma (1996)", 8: "Emma (1996)"})
    with pytest.raises(DataError, match=r"7.*8"):
        read_items("emma", names, "--exclude")
    assert read_items("8", names, "--exclude") == [8]
    with pytest.raises(DataError):
        read_items("8::3", names, "--exclude")
    with pytest.raises(DataError, match="--items"):
        read_items("emma", ItemNames([7, 8], {}), "--exclude")


def test_ids_are_of_the_type_of_the_log():
    assert typed("7", np.array([1]), "user") == 7
    assert typed("7.0", np.array([1]), "user") == 7
    assert typed("07", np.array(["1"]), "user") == "07"
    assert typed("0.5", np.array([0.25]), "user") == 0.5
    assert typed("True", np.array([True]), "user") is True
    with pytest.raises(CommandError, match="'x'"):
        typed("x", np.array([1]), "user")
    log = read_interactions({"user": ["a", "b", "a,b"], "item": [1, 2, 3]})
    given = RatingsInput(log, {}, "log")
    assert typed_users(["a,b"], given) == ["a,b"]
    assert typed_users(["a, b,a", "a,b"], given) == ["a", "b", "a,b"]


# recommend


def test_lists_are_those_of_the_estimator(run, home, ratings):
    pytest.importorskip("pandas")
    model = narrows.Recommender(Linear(l2=50), random_state=0).fit(ratings, titles=ratings.titles)
    first, second = int(ratings.user[0]), int(ratings.user[-1])
    expected = model.recommend([first, second], 4)
    predicted = model.predict(list(zip(expected["user"], expected["item"], strict=True)))
    users = ["-u", f"{first},{second}", "-k", "4", "--json"]
    record = _record(run("recommend", "log.csv", "--items", "films.csv", *users, *QUICK))
    entries = [entry for user in record["users"] for entry in user["items"]]
    assert [user["user"] for user in record["users"]] == [first, second]
    for name in ("item", "rank", "title", "source"):
        assert [entry[name] for entry in entries] == expected[name].tolist()
    np.testing.assert_allclose([entry["score"] for entry in entries], expected["score"], rtol=1e-5)
    np.testing.assert_allclose([entry["predicted_rating"] for entry in entries], predicted["rating"], rtol=1e-5)
    # What was measured on validation users, the simple answers beside.
    assert {c["method"].split()[0] for c in record["candidates"]} == {"linear", "popularity"}
    # A fitted model says the same, and each user may be named alone.
    again = _record(run("recommend", "log.csv", "-m", "log.narrows", "-u", first, "-u", second, "-k", "4", "--json"))
    assert again["users"] == record["users"]


def test_a_history_needs_no_log(run, home, ratings):
    pytest.importorskip("pandas")
    some = [int(item) for item in ratings.item[:3]]
    text = ", ".join(f"{ratings.titles[item]}::{stars}" for item, stars in zip(some, (5, 4, 1), strict=True))
    record = _record(run("recommend", "-m", "log.narrows", "--history", text, "-k", "5", "--json"))
    model = narrows.load(home / "log.narrows")
    expected = model.recommend_for({some[0]: 5, some[1]: 4, some[2]: 1}, 5)
    [user] = record["users"]
    assert (user["user"], user["seen"], user["positives"], record["log"]) == (None, 3, 2, None)
    assert [entry["item"] for entry in user["items"]] == expected["item"].tolist()
    run("recommend", "-m", "log.narrows", "--history", text, "-k", "5")
    # Ids do as well, and without ratings all are liked.
    run("recommend", "-m", "log.narrows", "--history", f"{some[0]},{some[1]}", "-k", "5")


def test_choosing_what_is_recommended(run, home, ratings):
    user, few = ratings.user[0], set(sorted(ratings.titles)[:5])
    command = ["recommend", "log.csv", "-m", "log.narrows", "-u", user, "-k", "60", "--json"]

    def items(*more):
        return [entry["item"] for entry in _record(run(*command, *more))["users"][0]["items"]]

    seen, free = set(ratings.item[ratings.user == user].tolist()), items()
    assert not set(free) & seen
    assert len(free) + len(seen) == len(set(ratings.item.tolist()))
    assert seen <= set(items("--include-seen"))
    assert set(items("--among", "few.csv", "--include-seen")) <= few
    left_out = ratings.titles[free[0]]
    assert items("--exclude", f"{left_out}, {free[2]}") == [free[1], *free[3:]]


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_lists_of_everyone_in_a_table(run, home, tmp_path, ending):
    out = tmp_path / f"lists.{ending}"
    run("recommend", "log.csv", "-m", "log.narrows", "--all", "-k", "3", "-o", out)
    found = tables.read_named(out)
    assert list(found) == ["user", "item", "score", "rank", "title", "source", "predicted_rating"]
    assert found["rank"].tolist() == [1, 2, 3] * USERS
    assert set(found["source"].tolist()) <= {"model", "popularity"}
    assert found["user"].dtype.kind == found["item"].dtype.kind == "i"


def test_a_history_s_list_in_a_table_has_no_user(run, tmp_path):
    out = tmp_path / "list.csv"
    item = str(tables.read_named("texts.csv")["item"][0])
    run("recommend", "-m", "texts.narrows", "--history", item, "-k", "3", "-o", out)
    rows = _table(out)
    assert list(rows[0]) == ["item", "score", "rank", "title", "source"]
    assert [row["title"] for row in rows] == [""] * 3


def test_users_who_are_not_there_get_what_is_popular(run):
    printed = run("recommend", "log.csv", "-m", "log.narrows", "-u", "1", "-k", "2", "--json")
    assert {entry["source"] for entry in _record(printed)["users"][0]["items"]} == {"popularity"}


def test_logs_without_ratings_of_texts(run):
    user = str(tables.read_named("texts.csv")["user"][0])
    record = _record(run("recommend", "texts.csv", "-u", user, "-k", "2", "--json", *QUICK))
    assert record["positive_from"] is None
    assert "predicted_rating" not in record["users"][0]["items"][0]
    run("recommend", "-m", "texts.narrows", "--history", f"{tables.read_named('texts.csv')['item'][0]}::2")


@pytest.mark.parametrize(
    "log",
    [
        ["odd.tsv", "--user-column", "who", "--item-column", "what"],
        ["bare.csv", "--user-column", "0", "--item-column", "1"],
        ["log.csv", "--rating-column", "none", "--timestamp-column", "none"],
    ],
)
def test_columns_are_named(run, ratings, log):
    command = ["-u", ratings.user[0], "-k", "4", "--json", *QUICK]
    found = _record(run("recommend", *log, *command))
    assert found["positive_from"] is None
    expected = _record(run("recommend", "log.csv", "--rating-column", "none", *command))
    assert found["users"] == expected["users"]


def test_what_was_fitted_is_kept(run, tmp_path, ratings):
    kept = tmp_path / "kept.narrows"
    command = ["recommend", "log.csv", "-u", ratings.user[0], "--json"]
    record = _record(run(*command, *QUICK, "--save", kept))
    assert record["model"] == str(kept)
    assert _record(run(*command, "-m", kept))["users"][0]["items"][0]["item"] == record["users"][0]["items"][0]["item"]


def test_without_pandas(run, monkeypatch, tmp_path, ratings):
    monkeypatch.setitem(sys.modules, "pandas", None)
    run("recommend", "log.csv", "-u", ratings.user[0], "--items", "films.csv", *QUICK)
    run("recommend", "log.csv", "-m", "log.narrows", "--all", "-o", tmp_path / "all.csv")
    run("evaluate", "log.csv", "--metrics", "ndcg@10", "--split", "last", *QUICK)
    run("info", "log.narrows")


def test_the_named_set(run, ratings, monkeypatch):
    monkeypatch.setattr("narrows.datasets.load_ratings", lambda name: ratings if name == "movielens-small" else None)
    record = _record(run("recommend", "movielens-small", "-u", ratings.user[0], "-k", "2", "--json", *QUICK))
    assert record["log"].startswith("movielens-small: 1,800 ratings")
    assert record["users"][0]["items"][0]["title"].startswith("Film, The")


# evaluate


def test_evaluate_holds_out_users(run, ratings):
    record = _record(run("evaluate", "log.csv", "--json", "--seed", "1", *QUICK))
    train, histories, held_out = narrows.recommend.split_users(ratings, random_state=1)
    model = narrows.Recommender(Linear(l2=50), random_state=1).fit(train)
    expected = model.evaluate(held_out, histories=histories)
    assert record["n_users"] == len(expected.users)
    assert set(record["values"]) == {*expected.values} >= {"model", "popularity", "EASE", "user and item bias"}
    for way, metrics in expected.values.items():
        for name, value in metrics.items():
            assert record["values"][way][name] == (None if np.isnan(value) else pytest.approx(value, rel=1e-4))


def test_evaluate_shows_both_tables_and_writes_one(run, tmp_path):
    command = ["evaluate", "log.csv", "--split", "random", "--metrics", "ndcg@10,rmse", *QUICK]
    run(*command, "-o", tmp_path / "found.csv")
    rows = {row["method"]: row for row in _table(tmp_path / "found.csv")}
    assert list(rows["model"]) == ["method", "ndcg@10", "rmse"]
    assert float(rows["model"]["rmse"]) < float(rows["zero table"]["rmse"])
    assert rows["zero table"]["ndcg@10"] == ""
    run(*command, "-o", tmp_path / "found.json")
    assert json.loads((tmp_path / "found.json").read_text())["values"]["zero table"]["ndcg@10"] is None


def test_evaluate_a_fitted_model(run, tmp_path, ratings):
    train, held_out = narrows.recommend.split_random(ratings, 0.2, random_state=0)
    for name, log in (("train", train), ("held", held_out)):
        _write(tmp_path / f"{name}.csv", list(log.columns()), list(log.columns().values()))
    run("fit", tmp_path / "train.csv", "--model", "recommender", "-o", tmp_path / "m.narrows", "-q", *QUICK)
    files = [tmp_path / "held.csv", "-m", tmp_path / "m.narrows", "--histories", tmp_path / "train.csv"]
    record = _record(run("evaluate", *files, "--json"))
    expected = narrows.Recommender(Linear(l2=50), random_state=0).fit(train).evaluate(held_out)
    assert record["values"]["model"]["ndcg@100"] == pytest.approx(expected.values["model"]["ndcg@100"], rel=1e-4)
    assert "EASE" not in record["values"]


# fit, info and the others


def test_fit_and_info(run, home, tmp_path):
    command = ["fit", "log.csv", "--model", "recommender", "-o", tmp_path / "m.narrows", "--items", "films.csv"]
    run(*command, *QUICK, "--positive-from", "4")
    summary = _record(run(*command, *QUICK, "--json"))
    assert (summary["users"], summary["rated"], summary["titles"]) == (USERS, True, summary["items"])
    fitted = narrows.load(tmp_path / "m.narrows")
    assert fitted.method_.l2 == 50
    assert fitted.titles_
    run("info", tmp_path / "m.narrows")
    record = _record(run("info", home / "texts.narrows", "--json"))
    assert record["in_words"] == "it is what was asked for"
    run("info", home / "texts.narrows")


def test_an_ensemble_is_told_in_short(run, tmp_path):
    command = ["fit", "texts.csv", "--model", "recommender", "-o", tmp_path / "m.narrows", "--validation-fraction", "0"]
    run(*command, "--method", "ensemble")
    run(*command, "--method", "multinomial(n_components=4, hidden=4, max_epochs=2)")
    run(*command, "--method", "linear", "--verbose", "1", "--random-state", "none")


def test_mistakes_are_one_line_and_leave_nothing(home, refuse):
    refuse(
        """
        recommend one.csv
        recommend fractions.csv ~
        recommend gaps.csv ~
        recommend nobody.csv ~
        recommend words.csv ~
        recommend dates.csv ~
        recommend notes.txt ~
        recommend nowhere.csv
        recommend movielens
        recommend digits
        recommend . ~
        recommend log.csv | --user-column whoo ; --user-column userId --item-column userId ~
        recommend --user-column x
        recommend log.csv | --items other.csv ; --items one.csv ; -u x --method linear(l2=50) ~ ; -m log.narrows -u ,
        recommend log.csv | -u 1 --history 5 ; --all ~ ; -o x.npy ~ ; -o log.csv ~ ; --save m.csv ~ ; --method forest
        recommend log.csv | --method linear(l2=-1)
        recommend texts.csv --method rating
        recommend log.csv -k 0
        recommend -m log.narrows -u 3
        recommend texts.csv -m log.narrows
        recommend log.csv | -m log.narrows --seed 3 ; -m ae.narrows ; -m one.csv ~
        recommend -m log.narrows --history qqqqq
        recommend log.csv -m log.narrows --among other.csv
        evaluate log.csv | --split sideways ; --metrics ndgc@10
        evaluate texts.csv --split last ~
        evaluate gaps.csv --rating-column none ~
        evaluate log.csv | -m log.narrows ; -m log.narrows --split last --histories log.csv ; --histories log.csv
        evaluate log.csv | -o found.txt ~
        evaluate texts.csv -m log.narrows --histories log.csv
        fit log.csv --model recommender -o m.narrows | --columns userId ; --stream ; --n-components 3
        fit log.csv --model recommender -o m.narrows | --positive-from 9 ; --verbose maybe
        fit bare.csv | --items films.csv -o m.narrows ; --user-column 0 -o m.narrows
        fit movielens-small -o m.narrows ~
        encode bare.csv -m log.narrows -o x.csv ~
        sample log.narrows -n 2 -o x.csv ~
        anomalies bare.csv -m log.narrows
        """
    )
