"""The detector on the command line: anomalies, fit --model detector, and what the other verbs say of its file."""

import csv
import json
import sys

import numpy as np
import pytest

import narrows
import plain_tables as tables
from narrows.cli import main

NAMES = ["inner", "outer", "load", "speed"]
PEOPLE = ["name", "city", "warmth", "open", "visits"]
KEPT = "city,warmth,open,visits"
WRONG = 17
"""The row of each table that goes against the others, and by which column."""


def _sensors(n_rows, seed, *, wrong=None):
    """Two columns that go together and two that do not; in one row the second is not what the first says."""
    rng = np.random.default_rng(seed)
    inner = rng.normal(20, 5, n_rows)
    X = np.column_stack([inner, 2 * inner + rng.normal(0, 0.2, n_rows), rng.normal(size=(n_rows, 2)) * [3, 40]])
    if wrong is not None:
        X[wrong, 1] = 2 * X[wrong, 0] + 60
    return X


def _people(n_rows=300):
    """A table with a column of names, one of categories, truth values and gaps, and a city in the wrong climate."""
    rng = np.random.default_rng(0)
    city = rng.choice(["Oslo", "Rome", "Lima"], n_rows)
    warmth = (np.select([city == "Oslo", city == "Rome"], [4.0, 18.0], 26.0) + rng.normal(0, 1, n_rows)).round(1)
    city[WRONG], warmth[WRONG] = "Oslo", 27.5
    columns = [[f"p{k}" for k in range(n_rows)], city.tolist(), warmth.tolist()]
    columns += [rng.choice(["true", "false"], n_rows).tolist(), rng.poisson(9, n_rows).tolist()]
    for column, row in ((1, 3), (2, 5), (4, 7), (4, 8)):
        columns[column][row] = ""
    return columns


def _write(path, names, columns):
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([names, *zip(*columns, strict=True)])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Tables with one wrong value, normal rows, and a detector of each kind."""
    folder = tmp_path_factory.mktemp("anomalies")
    X = _sensors(250, 1, wrong=WRONG)
    for ending in ("csv", "parquet", "npy"):
        tables.write(folder / f"new.{ending}", X, columns=None if ending == "npy" else NAMES)
    tables.write(folder / "shuffled.tsv", X[:, [2, 1, 3, 0, 0]], columns=["load", "outer", "speed", "inner", "more"])
    tables.write(folder / "normal.csv", _sensors(400, 0), columns=NAMES)
    tables.write(folder / "few.csv", X[:, :2], columns=NAMES[:2])
    _write(folder / "people.csv", PEOPLE, _people())
    (folder / "none.csv").write_text(",".join(PEOPLE) + "\n")
    arguments = ["fit", folder / "normal.csv", "--model", "detector", "-o", folder / "d.narrows", "--random-state", 0]
    assert main([*map(str, arguments), "-q"]) == 0
    arguments = ["fit", folder / "normal.csv", "-o", folder / "ae.narrows", "--max-epochs", "1", "-q"]
    assert main([str(argument) for argument in arguments]) == 0
    return folder


@pytest.fixture(scope="module")
def of_people(home):
    """A detector that was fitted to a table with columns of text."""
    pytest.importorskip("pandas")
    arguments = ["anomalies", home / "people.csv", "--columns", KEPT, "--save", home / "p.narrows", "--json"]
    assert main([str(argument) for argument in arguments]) == 0
    return home / "p.narrows"


def _table(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ","))


# Start


@pytest.mark.parametrize(
    ("rule", "flags"),
    [
        ([], lambda detector, X: detector.predict(X) == -1),
        (["--fdr", "0.5"], lambda detector, X: detector.detect(X, 0.5)),
        (["--rate", "0.05"], lambda detector, X: detector.p_values(X) <= 0.05),
        (["--top", "7"], lambda detector, X: np.argsort(np.argsort(-detector.anomaly_score(X))) < 7),
    ],
    ids=["own", "fdr", "rate", "top"],
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_rows_are_flagged_as_the_detector_says(run, home, tmp_path, rule, flags):
    out = tmp_path / "out.csv"
    record = json.loads(run("anomalies", "new.csv", "-m", "d.narrows", "-o", out, "--json", *rule).out)
    rows = _table(out)
    detector, X = narrows.load(home / "d.narrows"), tables.read(home / "new.csv").values
    assert list(rows[0]) == ["row", "score", "p_value", "anomaly", "column_1", "column_2", "column_3"]
    assert [int(row["row"]) for row in rows] == list(range(250))
    np.testing.assert_array_equal([float(row["score"]) for row in rows], detector.anomaly_score(X))
    np.testing.assert_array_equal([float(row["p_value"]) for row in rows], detector.p_values(X))
    expected = flags(detector, X)
    assert [row["anomaly"] for row in rows] == ["true" if flag else "false" for flag in expected]
    assert record["anomalies"] == expected.sum() > 0
    assert record["rule"].startswith(rule[0] if rule else "a score above")
    # Those that are flagged have an attribution, and so do the ten most anomalous.
    explained = {k for k, row in enumerate(rows) if row["column_1"]}
    highest = np.argsort(-detector.anomaly_score(X))[:10]
    assert explained == set(np.flatnonzero(expected).tolist()) | set(highest.tolist())
    assert rows[WRONG]["column_1"] in ("inner", "outer")


def test_the_wrong_value_is_shown_with_what_was_expected(run, home):
    pytest.importorskip("pandas")
    record = json.loads(run("anomalies", "new.csv", "--train", "normal.csv", "--json").out)
    first = record["most_anomalous"][0]
    assert (first["row"], first["anomaly"], record["contamination"]) == (WRONG, True, None)
    assert {part["column"] for part in first["columns"][:2]} >= {"outer"}
    run("anomalies", "new.csv", "-m", "d.narrows")
    named = next(part for part in first["columns"] if part["column"] == "outer")
    assert named["seen"] == tables.read(home / "new.csv").values[WRONG, 1]
    # The same fit with the same seed, so the same scores.
    again = json.loads(run("anomalies", "new.csv", "-m", "d.narrows", "--json").out)
    assert again["most_anomalous"][0]["score"] == first["score"]


def test_without_a_detector_the_rows_themselves_are_fitted_to(run, tmp_path):
    command = ["anomalies", "new.csv", "--json"]
    record = json.loads(run(*command, "--save", tmp_path / "own.narrows").out)
    assert record["contamination"] == "auto"
    assert WRONG in [entry["row"] for entry in record["most_anomalous"] if entry["anomaly"]]
    assert record["model"] == str(tmp_path / "own.narrows")
    # What was kept says the same, and so does another run.
    assert json.loads(run("anomalies", "new.csv", "-m", tmp_path / "own.narrows", "--json").out) == {
        key: value for key, value in record.items() if key != "model"
    }
    assert json.loads(run(*command).out)["most_anomalous"] == record["most_anomalous"]
    tenth = json.loads(run(*command, "--contamination", "0.1", "--method", "ranks,reconstruction").out)
    assert (tenth["contamination"], tenth["anomalies"]) == (0.1, 25)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_all_rows_explained_in_each_format(run, tmp_path, ending):
    out = tmp_path / f"out.{ending}"
    run("anomalies", "new.csv", "-m", "d.narrows", "-o", out, "--explain-all")
    if ending == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(out)
        assert [str(kind) for kind in table.schema.types] == ["int64", "double", "double", "bool", *["string"] * 3]
        rows = table.to_pylist()
    else:
        rows = _table(out)
    assert len(rows) == 250
    assert all(len({row[f"column_{k}"] for k in (1, 2, 3)} & set(NAMES)) == 3 for row in rows)


@pytest.mark.parametrize("data", ["new.csv", "new.parquet", "new.npy"])
def test_other_formats_and_a_stream_say_the_same(run, home, tmp_path, monkeypatch, data):
    expected, shuffled, other = (
        json.loads(run("anomalies", "-m", "d.narrows", "--json", name).out)
        for name in ("new.csv", "shuffled.tsv", data)
    )
    assert expected == other == shuffled
    command = ["anomalies", data, "-m", "d.narrows", "--rate", "0.1"]
    run(*command, "-o", tmp_path / "whole.csv")
    monkeypatch.setattr("narrows.data.inputs.STREAM_BYTES", 0)
    run(*command, "-o", tmp_path / "stream.csv")
    assert (tmp_path / "stream.csv").read_text() == (tmp_path / "whole.csv").read_text()
    # Fitted to a stream, too.
    found = json.loads(run("anomalies", data, "--train", "normal.csv", "--json").out)
    assert found["most_anomalous"][0]["row"] == WRONG


def test_columns_of_text_and_gaps(run, home, of_people, tmp_path):
    record = json.loads(run("anomalies", "people.csv", "-m", of_people, "--json").out)
    wrong = next(entry for entry in record["most_anomalous"] if entry["row"] == WRONG)
    assert wrong["anomaly"]
    told = {part["column"]: part for part in wrong["columns"]}
    # Either may be the wrong one: the city, or the warmth.
    named = max(told.values(), key=lambda part: part["attribution"])
    assert (named["column"], named["seen"]) in (("city", "Oslo"), ("warmth", 27.5))
    run("anomalies", "people.csv", "-m", of_people, "-o", tmp_path / "out.csv")
    row = _table(tmp_path / "out.csv")[WRONG]
    assert [row[f"column_{k}"] for k in (1, 2, 3)] == list(told)


def test_text_in_parquet_is_text(run, home, of_people, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = dict(zip(PEOPLE, _people(), strict=True))
    plain = {name: [None if cell == "" else cell for cell in cells] for name, cells in columns.items()}
    plain["open"] = [cell == "true" for cell in plain["open"]]
    table = pa.table(plain)
    city = table.column("city").dictionary_encode()
    pq.write_table(table.set_column(1, "city", city), tmp_path / "people.parquet")
    command = ["anomalies", "-m", of_people, "--json"]

    def found(*words):
        record = json.loads(run(*words).out)["most_anomalous"]
        return [(one["row"], one["score"], [part["column"] for part in one["columns"]]) for one in record]

    expected = found(*command, "people.csv")
    assert found(*command, tmp_path / "people.parquet") == expected
    assert found("anomalies", tmp_path / "people.parquet", "--columns", KEPT, "--json") == expected


def test_categories_that_were_numbers_in_the_fit(run, tmp_path):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    room = rng.integers(1, 4, 200)
    frame = pandas.DataFrame({"room": pandas.Categorical(room), "size": 10 * room + rng.normal(size=200)})
    narrows.AnomalyDetector(random_state=0).fit(frame).save(tmp_path / "rooms.narrows")
    (tmp_path / "rooms.csv").write_text("room,size\n1,10.1\n2,19.7\n1,30.2\n")
    record = json.loads(run("anomalies", tmp_path / "rooms.csv", "-m", tmp_path / "rooms.narrows", "--json").out)
    assert record["most_anomalous"][0]["row"] == 2
    assert record["most_anomalous"][0]["score"] > record["most_anomalous"][1]["score"] + 2


def test_images_go_by_their_files(run, tmp_path):
    pytest.importorskip("PIL")
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(30):
        image = np.full((4, 4), 250 if k == 11 else 90) + rng.integers(0, 5, (4, 4))
        tables.write_image(folder / f"i{k:02}.png", image.astype(np.uint8))
    record = json.loads(run("anomalies", folder, "--json").out)
    assert record["most_anomalous"][0]["file"] == "i11.png"
    run("anomalies", folder, "-o", tmp_path / "out.csv")
    assert _table(tmp_path / "out.csv")[11]["file"] == "i11.png"


def test_a_report(run, tmp_path):
    pytest.importorskip("matplotlib")
    run("anomalies", "new.csv", "-m", "d.narrows", "--top", "3", "--report", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!")


def test_without_pandas(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    # No p-value can be so small, and without pandas no column is named: two notes.
    assert run("anomalies", "new.csv", "-m", "d.narrows", "--rate", "0.001").err.count("Note: ") == 2


# fit, info, and the other verbs


def test_fit_and_info_speak_of_a_detector(run, tmp_path):
    model = tmp_path / "m.narrows"
    flags = ["--model", "detector", "--method", "neighbors,ranks", "--contamination", "0.05", "--n-neighbors", "9"]
    run("fit", "new.csv", "-o", model, *flags, "--random-state", "0")
    fitted = narrows.load(model)
    assert (fitted.method, fitted.contamination, fitted.n_neighbors) == (("neighbors", "ranks"), 0.05, 9)
    assert fitted.feature_names_in_.tolist() == NAMES
    run("info", model)
    record = json.loads(run("info", model, "--json").out)
    assert record["in_words"].startswith("a score above")
    record = json.loads(run("fit", "normal.csv", "-o", model, "--model", "detector", "--stream", "--json").out)
    assert (record["class"], record["rows"], record["n_calibration"]) == ("AnomalyDetector", 400, 400)
    assert record["threshold"] == -narrows.load(model).offset_


def test_mistakes_are_one_line_and_leave_nothing(home, of_people, refuse):
    refuse(
        f"""
        anomalies | new.csv -m {of_people} ~ ; new.npy -m {of_people} ~
        anomalies ~
        anomalies nowhere.csv
        anomalies none.csv
        anomalies new.csv | -m nowhere.narrows ; -m ae.narrows ; -m new.csv
        anomalies few.csv | -m d.narrows ; --train normal.csv
        anomalies digits -m d.narrows
        anomalies new.csv | --rate 0 ; --rate 2 ; -m d.narrows --fdr 1 ; --top 0 ; --top 3 --rate 0.1 ; --fdr 0.1 ~
        anomalies new.csv | --contamination none ~ ; --contamination 0.7 ~ ; --contamination some ~ ; --method forest
        anomalies new.csv | --method ranks,forest ; --n-neighbors 0 ~ ; --device abacus ; --columns inner,size
        anomalies new.csv | --explain-all ~ ; -o x.npy ; -o new.csv ~ ; -o nowhere/x.csv ~ ; --save x.csv ~
        anomalies new.csv | --save x.narrows --report x.narrows ~ ; -m d.narrows --train normal.csv
        anomalies new.csv | -m d.narrows --n-neighbors 3 ; -m d.narrows --save x.narrows
        fit new.csv -o m.narrows | --model detector --n-components 2 ; --contamination 0.1 ~
        fit new.csv -o m.narrows | --model detector --labels load ; --model detector --clean new.npy
        fit new.csv -o m.narrows | --model detector --patches 8
        encode new.csv -m d.narrows -o x.csv ~
        decode new.csv -m d.narrows -o x.csv ~
        reconstruct new.csv -m d.narrows -o x.csv ~
        score new.csv -m d.narrows ~
        sample d.narrows ~
        """
    )
