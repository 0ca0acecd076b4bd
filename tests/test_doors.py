"""Small files as people have them, and what is read of each: rows, kinds of columns, or a sentence that refuses it."""

from __future__ import annotations

import json
import warnings

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import narrows
from narrows import AnomalyDetector, Autoencoder, VariationalAutoencoder
from narrows.data import Schema, read
from narrows.data.encoding import Encoding

ROWS = range(40)


def lines(head, row, n=40, end="\n"):
    return end.join([*([head] if head else []), *(row(i) for i in range(n))]) + end


def kinds_of(table):
    return {column.name: column.kind for column in table.schema.columns}


DOORS = {
    "semicolon.csv": (lines("a;b", lambda i: f"{i},5;{i}"), {"a": "number", "b": "integer"}),
    "thousands.csv": (lines("a,b", lambda i: f'"1,{i:03d}.50",{i}'), {"a": "number", "b": "integer"}),
    "pipes.txt": (lines("a|b|c", lambda i: f"{i}|{i / 4}|{'xy'[i % 2]}"),
                  {"a": "integer", "b": "number", "c": "category"}),
    "colons.dat": (lines("", lambda i: f"{i % 9}::{i % 7}::{i % 5}"), {f"column_{k}": "integer" for k in range(3)}),
    "latin.csv": (lines("stadt,w", lambda i: f"{'Köln' if i % 2 else 'Bonn'},{i}").encode("latin-1"),
                  {"stadt": "category", "w": "integer"}),
    "marked.csv": (lines("a,b", lambda i: f"{i},{i % 3}").encode("utf-16"), {"a": "integer", "b": "integer"}),
    "returns.csv": (lines("a,b", lambda i: f"{i},{i % 3}", end="\r"), {"a": "integer", "b": "integer"}),
    "same.csv": (lines("a,a", lambda i: f"{i},{i % 3}"), {"a": "integer", "a_1": "integer"}),
    "index.csv": (lines(",v", lambda i: f"{i},{i / 8}"), {"index": "index", "v": "number"}),
    "ids.csv": (lines("id,v", lambda i: f"{900 + 3 * i},{i / 8}"), {"id": "identifier", "v": "number"}),
    "codes.csv": (lines("sku,v", lambda i: f"A-{i * 7919 % 1000},{i / 8}"), {"sku": "identifier", "v": "number"}),
    "epoch.csv": (lines("ts,v", lambda i: f"{1_700_000_000 + 60 * i},{i % 7}"), {"ts": "time", "v": "integer"}),
    "zip.csv": (lines("zip,v", lambda i: f"{i * 37 % 9:05d},{i}"), {"zip": "category", "v": "integer"}),
    "hex.csv": (lines("a,v", lambda i: f"0x{i % 5:02x},{i}"), {"a": "category", "v": "integer"}),
    "big.csv": (lines("a,v", lambda i: f"{2**60 + i},{i}"), {"a": "identifier", "v": "integer"}),
    "empty.csv": (lines("a,b", lambda i: f"{i},"), {"a": "integer", "b": "constant"}),
    "days.csv": (lines("d,v", lambda i: f"{i % 28 + 1:02d}.0{i % 9 + 1}.2024,{i}"), {"d": "datetime", "v": "integer"}),
    "stamps.csv": (lines("d,v", lambda i: f"2024-01-{i % 28 + 1:02d} 10:{i:02d}:00,{i}"),
                   {"d": "datetime", "v": "integer"}),
    "open.csv": (lines("d,v", lambda i: f"{i % 9 + 1:02d}/{i % 7 + 1:02d}/2024,{i}", 400),
                 {"d": "category", "v": "integer"}),
    "words.csv": (lines("ok,v", lambda i: f"{'yes' if i % 3 else 'no'},{i}"), {"ok": "boolean", "v": "integer"}),
    "money.csv": (lines("price,v", lambda i: f'"€ {1000 + i:,.2f}",{i}'), {"price": "number", "v": "integer"}),
    "share.csv": (lines("p,v", lambda i: f"{i / 4:.2f}%,{i}"), {"p": "number", "v": "integer"}),
}  # fmt: skip


@pytest.mark.parametrize("name", DOORS)
def test_text_tables_are_understood(tmp_path, name):
    content, expected = DOORS[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    table = read(tmp_path / name)
    assert kinds_of(table) == expected
    assert table.n_rows == (400 if name == "open.csv" else 40)
    assert Schema.from_json(json.loads(json.dumps(table.schema.to_json()))) == table.schema
    # Every value comes back as it was, out of the numbers that a model would see.
    encoding = Encoding.learn(table.schema)
    given = table.to_arrow(encoding.names)
    assert encoding.decode(encoding.encode(given)).to_pydict() == given.to_pydict()


def test_missing_values_sentinels_and_kinds_that_are_asked_for(tmp_path):
    words = ["NULL", "N/A", "#N/A", "None", "<NA>", "?", "-", "n/a", "NaN", ""]
    path = tmp_path / "m.csv"
    path.write_text(
        lines("a,b", lambda i: f"{words[i % 10] if i % 3 == 0 else i},{-999 if i % 4 == 0 else i / 7:.3f}", 90)
    )
    table = read(path)
    assert kinds_of(table) == {"a": "integer", "b": "number"}
    assert table.schema["a"].missing == pytest.approx(1 / 3, abs=1e-5)
    assert "-999" in table.schema["b"].note
    assert read(path, missing_values=["-999.000", *words]).schema["b"].missing == pytest.approx(23 / 90, abs=1e-3)
    assert read(path, kinds={"a": "identifier"}).schema["a"].why == "as asked"
    for wrong in ({"c": "number"}, {"a": "colour"}):
        with pytest.raises(narrows.DataError):
            read(path, kinds=wrong)


def people(n=80):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "code": [f"P-{k}" for k in rng.permutation(n)],
            "height": rng.normal(170, 9, n).round(1),
            "visits": rng.poisson(3, n),
            "town": rng.choice(["Bonn", "Köln", "Ulm"], n),
            "member": rng.random(n) < 0.4,
        }
    )


def forms(frame, folder):
    """The same table in every form that it may come in."""
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_parquet(folder / "t.parquet", index=False)
    (folder / "parts").mkdir(exist_ok=True)
    for number, part in enumerate((frame[:30], frame[30:])):
        part.to_parquet(folder / "parts" / f"{number}.parquet", index=False)
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    return {
        "pandas": frame, "polars": pl.from_pandas(frame), "lazy": pl.from_pandas(frame).lazy(), "arrow": arrow,
        "reader": arrow.to_reader(), "duckdb": duckdb.from_arrow(arrow),
        "dict": {name: frame[name].to_numpy() for name in frame},
        "csv": folder / "t.csv", "parquet": str(folder / "t.parquet"), "folder": folder / "parts",
        "list": [folder / "parts" / "0.parquet", folder / "parts" / "1.parquet"],
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore::narrows.ColumnsLeftOutWarning", "ignore::narrows.NotBetterThanBaselineWarning")
@pytest.mark.parametrize(
    "estimator",
    [
        Autoencoder(2, max_epochs=2, random_state=0),
        VariationalAutoencoder(2, max_epochs=2, random_state=0),
        AnomalyDetector(autoencoder=Autoencoder(2, max_epochs=2), random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_one_table_in_every_form_makes_one_model(tmp_path, estimator):
    from sklearn.base import clone

    frame = people()
    results = {}
    for form, data in forms(frame, tmp_path).items():
        model = clone(estimator).fit(data)
        results[form] = model.score_samples(frame)
        assert model.schema_["code"].kind == "identifier"
        assert list(model.feature_names_in_) == ["height", "visits", "town", "member"]
    for form, scores in results.items():
        np.testing.assert_array_equal(scores, results["pandas"], err_msg=form)


@pytest.mark.filterwarnings("ignore::narrows.ColumnsLeftOutWarning", "ignore::narrows.NotBetterThanBaselineWarning")
def test_new_tables_go_by_the_names_of_their_columns():
    frame = people()
    model = Autoencoder(2, max_epochs=2, random_state=0).fit(frame)
    codes = model.transform(frame)
    np.testing.assert_array_equal(model.transform(frame[frame.columns[::-1]]), codes)
    np.testing.assert_array_equal(model.transform(frame.drop(columns="code")), codes)
    for wrong, word in (
        (frame.drop(columns="visits"), "visits"),
        (frame.assign(height="tall"), "height"),
        (frame.assign(town="Rom"), "Rom"),
    ):
        with pytest.raises(narrows.DataError, match=word):
            model.transform(wrong)
    with pytest.warns(narrows.UnlikeTrainingDataWarning, match="height"):
        model.transform(frame.assign(height=frame["height"] * 1000))
    with pytest.warns(narrows.UnlikeTrainingDataWarning, match="more"):
        model.transform(frame.assign(more=1))
    rebuilt = model.reconstruct(frame)
    assert [str(kind) for kind in rebuilt.dtypes] == [str(kind) for kind in frame.drop(columns="code").dtypes]


def test_images_in_other_units_are_noticed():
    images = np.random.default_rng(0).integers(0, 256, (200, 30)).astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", narrows.NotBetterThanBaselineWarning)
        model = Autoencoder(2, max_epochs=1, random_state=0).fit(images)
    model.transform(images[:50])
    with pytest.warns(narrows.UnlikeTrainingDataWarning):
        model.transform(images / 255)


@pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")
def test_equal_rows_and_groups_stay_on_one_side_of_a_split():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 6))
    copies = Autoencoder(2, random_state=0, max_epochs=20).fit(np.repeat(rows, 25, axis=0))
    assert copies.baselines_["equal_rows"] == 960
    # What is new to a model of 40 different rows is not rebuilt better than such rows are.
    fresh = copies.reconstruction_error(rng.normal(size=(400, 6))).mean()
    assert copies.baselines_["model"] > 0.5 * fresh
    groups = np.repeat(np.arange(50), 8)
    grouped = Autoencoder(2, random_state=0, max_epochs=2).fit(rng.normal(size=(400, 6)), groups=groups)
    assert grouped.baselines_["groups"] == 50
    with pytest.raises(ValueError, match="groups"):
        Autoencoder(2).fit(rows, groups=[1, 2])


@pytest.mark.filterwarnings("ignore::narrows.ColumnsLeftOutWarning", "ignore::narrows.NotBetterThanBaselineWarning")
def test_samples_have_the_form_of_the_table(tmp_path):
    frame = people(200)
    frame["grade"] = pd.Categorical(["lo", "hi", "mid", "mid"] * 50, ["lo", "mid", "hi"], ordered=True)
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(
        np.random.default_rng(1).integers(0, 300, 200), unit="D"
    )
    made = VariationalAutoencoder(2, max_epochs=2, random_state=0).fit(frame).sample(300, random_state=0)
    expected = frame.drop(columns="code")
    assert list(made.columns) == list(expected.columns)
    assert [str(kind) for kind in made.dtypes] == [str(kind) for kind in expected.dtypes]
    assert list(made["grade"].cat.categories) == ["lo", "mid", "hi"]
    assert made["grade"].cat.ordered
    assert (made["height"].round(1) == made["height"]).all()
    assert made["day"].between(frame["day"].min(), frame["day"].max()).all()


@pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")
def test_gaps_that_the_fit_had_none_of_are_filled_in():
    frame = people()[["height", "visits"]].astype({"visits": "int64"})[["visits"]].assign(other=range(80))
    model = Autoencoder(1, max_epochs=2, random_state=0).fit(frame)
    gaps = frame.astype({"visits": "Int64"})
    gaps.loc[3, "visits"] = pd.NA
    errors = model.reconstruction_error(gaps, per_feature=True)
    assert np.isnan(errors[3, 0])
    assert np.isfinite(model.transform(gaps)).all()
    at_mean = frame.astype(float)
    at_mean.loc[3, "visits"] = model._model.standardise.shift64[0].item()
    np.testing.assert_allclose(model.transform(gaps), model.transform(at_mean), rtol=1e-5, atol=1e-6)


def test_one_gap_among_millions_is_known():
    values = pa.array(np.arange(3_000_000), mask=np.arange(3_000_000) == 7)
    assert read(pa.table({"x": values})).schema["x"].missing > 0


def test_kinds_that_are_asked_for_hold_for_all_rows(tmp_path):
    frame = pd.DataFrame({"room": np.repeat(np.arange(60), 50), "v": np.arange(3000) % 17})
    table = read(frame, kinds={"room": "category"})
    assert table.schema["room"].levels == list(range(60))
    encoding = Encoding.learn(table.schema)
    assert encoding.encode(table.to_arrow()).shape == (3000, 61)
    path = tmp_path / "open.csv"
    path.write_text(lines("d,v", lambda i: f"{i % 9 + 1:02d}/{i % 7 + 1:02d}/2024,{i}"))
    asked = read(path, kinds={"d": "datetime"})
    encoding = Encoding.learn(asked.schema)
    assert encoding.decode(encoding.encode(asked.to_arrow())).to_pydict() == asked.to_arrow().to_pydict()
    assert asked.schema["d"].high.startswith("2024-07")
    assert "v" not in read(table, drop="v").schema.names
    ids = pd.DataFrame({"user_id": [*range(2000), 5], "v": range(2001)})
    assert read(ids).schema["user_id"].kind == "integer"


def test_every_type_of_column_comes_back():
    from datetime import time, timedelta
    from decimal import Decimal

    table = pa.table(
        {
            "lasts": pa.array([timedelta(seconds=k % 7) for k in range(40)], pa.duration("us")),
            "at": pa.array([time(k % 24, 5) for k in range(40)], pa.time64("us")),
            "price": pa.array([Decimal(k % 9) / 4 for k in range(40)], pa.decimal128(9, 2)),
            "zoned": pa.array([86_400_000_000 * (k % 5) for k in range(40)], pa.timestamp("us", "Europe/Berlin")),
            "small": pa.array([k % 11 for k in range(40)], pa.int16()),
        }
    )
    encoding = Encoding.learn(read(table).schema)
    assert encoding.decode(encoding.encode(table)).equals(table)


@pytest.mark.filterwarnings("ignore::narrows.ColumnsLeftOutWarning", "ignore::narrows.NotBetterThanBaselineWarning")
def test_clean_tables_and_streams_with_groups(tmp_path):
    noisy = people().drop(columns=["town", "member"])
    clean = noisy.assign(height=noisy["height"].round(-1))
    paired = Autoencoder(1, max_epochs=1, random_state=0).fit(noisy, clean)
    assert "input" in paired.baselines_
    people().to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(narrows.DataError, match="groups"):
        Autoencoder(1, max_epochs=1).fit(read(tmp_path / "t.csv", stream=True), groups=np.arange(80))
    model = Autoencoder(1, max_epochs=1, random_state=0).fit(read(tmp_path / "t.csv", missing_values=["", "none"]))
    people().to_parquet(tmp_path / "t.parquet", index=False)
    np.testing.assert_array_equal(model.transform(tmp_path / "t.parquet"), model.transform(tmp_path / "t.csv"))


@pytest.fixture
def home(tmp_path):
    people(120).to_csv(tmp_path / "people.csv", index=False)
    pq.write_table(pa.table({"a": range(20), "l": [[1, 2]] * 20}), tmp_path / "nested.parquet")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n4,5\n")
    return tmp_path


def test_the_command_line_says_what_it_assumes_and_carries_names(home, monkeypatch, capsys):
    from narrows.cli import main

    monkeypatch.chdir(home)
    assert main(["describe", "people.csv", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [column["kind"] for column in told["columns"]] == ["identifier", "number", "integer", "category", "boolean"]
    assert main(["describe", "nested.parquet", "--json"]) == 0
    assert [c["kind"] for c in json.loads(capsys.readouterr().out)["columns"]] == ["integer", "nested"]
    assert main(["fit", "people.csv", "-o", "m.narrows", "--max-epochs", "2", "--random-state", "0"]) == 0
    assert "code" in capsys.readouterr().err
    assert main(["encode", "people.csv", "-m", "m.narrows", "-o", "codes.csv"]) == 0
    codes = pd.read_csv("codes.csv")
    assert codes["code"].tolist() == pd.read_csv("people.csv")["code"].tolist()
    assert main(["anomalies", "people.csv", "-o", "found.csv", "--kinds", "visits=category", "--drop", "member"]) == 0
    found = pd.read_csv("found.csv")
    assert found["code"].tolist() == codes["code"].tolist()
    capsys.readouterr()
    assert main(["fit", "ragged.csv", "-o", "x.narrows"]) == 2
    assert "ragged.csv" in capsys.readouterr().err
