"""The variational autoencoder on the command line: fit, sample, interpolate, and what the other verbs say of it."""

import json
import sys

import numpy as np
import pyarrow as pa
import pytest

import narrows
import plain_tables as tables
from narrows import datasets
from narrows.cli import main
from narrows.cli.images import grid, shown_range
from narrows.cli.labels import class_named
from narrows.data import read
from narrows.data.encoding import Encoding
from narrows.data.output import write_table

VAE = ["--model", "vae", "--max-epochs", "3", "--random-state", "0"]
UNNAMED = pytest.mark.filterwarnings("ignore:X does not have valid feature names")
HEAD = "age,height,smoker,visits,score,group"
TYPES = {"age": "int64", "height": "float64", "smoker": "bool", "visits": "int64", "score": "float64"}


def _mixed(n_rows=240):
    """Columns of whole numbers, floats, truth values, and floats that are all whole, by two groups."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 90, n_rows)
    height = rng.normal(170, 9, n_rows).round(1)
    smoker = rng.random(n_rows) < np.where(age > 50, 0.8, 0.2)
    visits = rng.poisson(age / 20)
    score = rng.integers(0, 5, n_rows).astype(float)
    group = np.where(age > 50, "old", "young")
    return {"age": age, "height": height, "smoker": smoker, "visits": visits, "score": score, "group": group}


def _text(columns, names):
    rows = zip(*(columns[name].tolist() for name in names), strict=True)
    return "\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)]) + "\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A table of mixed columns as text and as Parquet, images, and a model of each."""
    folder = tmp_path_factory.mktemp("vae")
    columns = _mixed()
    (folder / "people.csv").write_text(_text(columns, HEAD.split(",")))
    (folder / "plain.csv").write_text(_text(columns, list(TYPES)))
    write_table(folder / "people.parquet", pa.table({name: columns[name] for name in HEAD.split(",")}))
    write_table(folder / "plain.parquet", pa.table({name: columns[name] for name in TYPES}))
    table = [folder / "people.csv", "-o", folder / "people.narrows", "--labels", "group", *VAE, "-q"]
    digits = ["digits", "-o", folder / "digits.narrows", "--network", "dense((32,))", "--n-components", "4", *VAE, "-q"]
    for arguments in (table, digits, [folder / "plain.csv", "-o", folder / "plain.narrows", *VAE, "-q"]):
        assert main(["fit", *map(str, arguments)]) == 0
    plain = ["fit", folder / "plain.csv", "-o", folder / "ae.narrows", "--max-epochs", "1", "-q"]
    assert main([str(argument) for argument in plain]) == 0
    return folder


def _numbers(path):
    """Return a file's values as floats, truth values as 0 and 1 however they are spelled."""
    words = {"true": 1.0, "false": 0.0}
    return np.array([[words.get(str(v).lower(), v) for v in row] for row in tables.read(path).values], dtype=float)


def _kinds(path):
    kinds = {"number": "float64", "integer": "int64", "boolean": "bool", "constant": "bool"}
    found = {column.name: kinds[column.kind] for column in read(path).schema.columns}
    # Floats that are all whole have no point in text.
    return found | ({"score": "float64"} if path.suffix in (".csv", ".tsv") else {})


def test_flags_reach_the_model(run, tmp_path):
    flags = ["--beta", "0.5", "--free-bits", "0.1", "--prior", "mixture(n_components=3)", "--scaling", "auto"]
    flags += ["--likelihood", "gaussian(variance=common)", "--kl-warmup", "0.5"]
    run("fit", "plain.csv", "-o", tmp_path / "m.narrows", *VAE, *flags)
    fitted = narrows.load(tmp_path / "m.narrows")
    assert (fitted.beta, fitted.free_bits, fitted.kl_warmup, fitted.scaling) == (0.5, 0.1, 0.5, "auto")
    assert fitted.prior == narrows.variational.Mixture(3)
    run("info", tmp_path / "m.narrows")


def test_the_summary_is_of_a_variational_model(run, tmp_path):
    run("fit", "people.csv", "-o", tmp_path / "m.narrows", "--labels", "group", *VAE, "--max-epochs", "60")
    record = json.loads(run("fit", "digits", "-o", tmp_path / "m.narrows", *VAE, "--network", "dense", "--json").out)
    assert record["labels"] == list(range(10))
    assert record["image_shape"] == [8, 8, 1]
    assert 0 <= record["n_active_components"] <= record["n_components"]
    assert set(record["baselines"]["nats_per_row"]) >= {"model", "independent"}
    assert "stayed_linear" not in record
    fitted = narrows.load(tmp_path / "m.narrows")
    assert fitted.baselines_ == record["baselines"]
    assert record["in_words"] in " ".join(run("info", tmp_path / "m.narrows", "--json").out.split())


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("out", ["rows.csv", "rows.tsv", "rows.parquet"])
def test_a_table_comes_back_with_its_names_types_and_ranges(run, home, tmp_path, ending, out):
    run("fit", f"people.{ending}", "-o", tmp_path / "m.narrows", "--labels", "group", *VAE)
    run("sample", tmp_path / "m.narrows", "-n", "200", "-o", tmp_path / out, "--random-state", "0")
    assert _kinds(tmp_path / out) == TYPES
    given, made = _numbers(home / "plain.csv"), _numbers(tmp_path / out)
    assert tables.read(tmp_path / out).columns == list(TYPES)
    assert made.shape == (200, 5)
    assert (made >= given.min(0)).all()
    assert (made <= given.max(0)).all()
    # Read back by the verbs, as any file of the same columns.
    assert json.loads(run("score", tmp_path / out, "-m", tmp_path / "m.narrows", "--json").out)["rows"] == 200


def test_gaps_do_not_turn_whole_numbers_into_others(run, home, tmp_path):
    lines = (home / "plain.csv").read_text().splitlines()
    for row, column in ((3, 0), (5, 2), (7, 1)):
        cells = lines[row].split(",")
        cells[column] = ""
        lines[row] = ",".join(cells)
    (tmp_path / "gaps.csv").write_text("\n".join(lines))
    run("fit", tmp_path / "gaps.csv", "-o", tmp_path / "m.narrows", "--missing", "mask", *VAE)
    run("sample", tmp_path / "m.narrows", "-o", tmp_path / "rows.parquet")
    assert _kinds(tmp_path / "rows.parquet") == TYPES
    assert not np.isnan(_numbers(tmp_path / "rows.parquet")).any()


def test_a_stream_keeps_the_types(run, home, tmp_path):
    run("fit", "plain.parquet", "-o", tmp_path / "m.narrows", "--stream", *VAE)
    run("sample", tmp_path / "m.narrows", "-n", "20", "-o", tmp_path / "rows.csv")
    assert _kinds(tmp_path / "rows.csv") == TYPES
    names = ["age", "height", "visits", "score"]
    (tmp_path / "numbers.csv").write_text(_text(_mixed(), names))
    run("fit", tmp_path / "numbers.csv", "-o", tmp_path / "m.narrows", "--stream", *VAE)
    run("sample", tmp_path / "m.narrows", "-n", "20", "-o", tmp_path / "rows.csv")
    assert _kinds(tmp_path / "rows.csv") == {name: TYPES[name] for name in names}


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_arrays_keep_their_one_type_and_have_no_names(run, tmp_path, dtype):
    X = (10 * datasets.make_manifold(120, 4, n_latent=2, random_state=0)).astype(dtype)
    tables.write(tmp_path / "X.npy", X)
    run("fit", tmp_path / "X.npy", "-o", tmp_path / "m.narrows", *VAE)
    run("sample", tmp_path / "m.narrows", "-n", "7", "-o", tmp_path / "Y.npy")
    made = np.load(tmp_path / "Y.npy")
    assert (made.shape, made.dtype) == ((7, 4), dtype)
    run("sample", tmp_path / "m.narrows", "-n", "7", "-o", tmp_path / "Y.csv")
    assert tables.read(tmp_path / "Y.csv").columns == ["x0", "x1", "x2", "x3"]


@pytest.mark.parametrize("case", ["text", "parquet", "position", "file", "array"])
def test_labels_come_from_a_column_or_a_file(run, home, tmp_path, case):
    columns = _mixed()
    numbers = (columns["group"] == "old").astype(int)
    data, labels, expected = home / "people.csv", "group", ["old", "young"]
    if case == "parquet":
        data = home / "people.parquet"
    elif case == "position":
        data, labels, expected = tmp_path / "bare.csv", "1", [0, 1]
        rows = zip(columns["age"], numbers, columns["height"], strict=True)
        data.write_text("".join(f"{age},{number},{height}\n" for age, number, height in rows))
    elif case == "array":
        data, labels, expected = tmp_path / "bare.npy", "0", [0, 1]
        tables.write(data, np.column_stack([numbers, columns["age"], columns["height"]]))
    elif case == "file":
        data, labels, expected = home / "plain.csv", tmp_path / "groups.csv", ["old", "young"]
        labels.write_text("which\n" + "\n".join(columns["group"]) + "\n")
    run("fit", data, "-o", tmp_path / "m.narrows", "--labels", labels, *VAE)
    fitted = narrows.load(tmp_path / "m.narrows")
    assert fitted.classes_.tolist() == expected
    assert fitted.n_features_in_ == (2 if case in ("position", "array") else 5)


def test_rows_of_one_label(run, tmp_path):
    for label, more in (("old", True), ("young", False)):
        run("sample", "people.narrows", "-n", "300", "--label", label, "-o", tmp_path / "r.csv", "--random-state", "1")
        age = tables.read(tmp_path / "r.csv", columns=["age"]).values[:, 0]
        assert (age.mean() > 50) == more


def test_a_label_is_found_by_its_text_or_its_number(home):
    class Fitted:
        classes_ = np.array([1.0, 2.5])

    assert class_named(Fitted, "1", home) == 1.0
    assert class_named(Fitted, " 2.5", home) == 2.5
    Fitted.classes_ = np.array([False, True])
    assert class_named(Fitted, "true", home) is True
    assert class_named(Fitted, None, home) is None


def test_a_decoder_that_is_told_of_labels(run, tmp_path):
    model = tmp_path / "m.narrows"
    run("fit", "people.csv", "-o", model, "--labels", "group", "--conditional", *VAE)
    run("sample", model, "--label", "old", "-o", tmp_path / "old.csv")
    way = ["interpolate", model, "plain.csv", "--from", "0", "--to", "1"]
    run(*way, "-o", tmp_path / "old.npy", "--label", "old")
    run(*way, "-o", tmp_path / "young.npy", "--label", "young")
    assert not np.allclose(np.load(tmp_path / "old.npy"), np.load(tmp_path / "young.npy"))
    run("reconstruct", "plain.csv", "-m", model, "-o", tmp_path / "again.csv")


def test_samples_are_the_models_own(run, tmp_path):
    run("sample", "plain.narrows", "-n", "9", "-o", tmp_path / "a.npy", "--random-state", "3", "--prior", "normal")
    fitted = narrows.load("plain.narrows")
    as_numbers = Encoding.learn(fitted.schema_).encode
    expected = as_numbers(fitted.sample(9, random_state=3, prior="normal"))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)
    run("sample", "plain.narrows", "-n", "9", "-o", tmp_path / "b.npy", "--random-state", "3", "--no-noise")
    np.testing.assert_array_equal(
        np.load(tmp_path / "b.npy"), as_numbers(fitted.sample(9, random_state=3, noise=False))
    )
    for name in ("c", "d"):
        run("sample", "plain.narrows", "-n", "9", "-o", tmp_path / f"{name}.npy")
    assert not np.array_equal(np.load(tmp_path / "c.npy"), np.load(tmp_path / "d.npy"))


def test_without_a_file_some_rows_are_printed(run):
    shown = run("sample", "plain.narrows", "--random-state", "0").out
    assert all(name in shown for name in TYPES)
    assert "True" in shown or "False" in shown
    record = json.loads(run("sample", "plain.narrows", "-n", "3", "--json").out)
    assert record["columns"] == list(TYPES)
    assert [type(value) for value in record["values"][0]] == [int, float, str, int, float]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_model_of_a_frame_writes_its_columns(run, tmp_path, library):
    frames = pytest.importorskip(library)
    data = _mixed()
    frame = frames.DataFrame(data)
    narrows.VariationalAutoencoder(2, max_epochs=2, random_state=0).fit(frame).save(tmp_path / "m.narrows")
    for ending in ("csv", "parquet"):
        run("sample", tmp_path / "m.narrows", "-n", "50", "-o", tmp_path / f"rows.{ending}")
        read = getattr(frames, f"read_{ending}")
        made = read(tmp_path / f"rows.{ending}")
        assert list(made.columns) == list(data)
        assert set(made["group"]) <= {"old", "young"}
        if ending == "parquet":
            assert [str(kind) for kind in made.dtypes] == [str(kind) for kind in frame.dtypes]


def test_a_frame_needs_its_library(run, monkeypatch, tmp_path):
    pandas = pytest.importorskip("pandas")
    model = tmp_path / "m.narrows"
    narrows.VariationalAutoencoder(2, max_epochs=1, random_state=0).fit(pandas.DataFrame(_mixed())).save(model)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert "pandas" in run("sample", model, code=2).err


def test_a_grid_of_images(run, tmp_path):
    pytest.importorskip("PIL")
    out = tmp_path / "new.png"
    record = json.loads(run("sample", "digits.narrows", "-n", "10", "-o", out, "--random-state", "0", "--json").out)
    picture = tables.read_image(out)
    # Three rows of four, enlarged eightfold, with a line of a pixel about each.
    assert picture.shape == (3 * 66, 4 * 66) == tuple(record["pixels"])
    expected = narrows.load("digits.narrows").sample(10, random_state=0)
    tile = picture[1:65:8, 1:65:8]
    np.testing.assert_array_equal(tile, np.rint(expected[0] * (255 / 16)).astype(np.uint8))
    assert (picture[2 * 66 :, 2 * 66 :] == 127).all()


def test_colours_and_8_bits_in_a_grid():
    images = np.zeros((2, 3, 5, 3), np.uint8)
    images[0, :, :, 0], images[1, :, :, 2] = 200, 90
    picture = grid(images, *shown_range(images.dtype, 0, 200), n_columns=2)
    assert picture.shape == (3 * 12 + 2, 2 * (5 * 12 + 2), 3)
    assert picture[5, 5].tolist() == [200, 0, 0]
    assert picture[5, 70].tolist() == [0, 0, 90]
    # One value only: no division by nothing.
    assert grid(np.ones((1, 2, 2, 1)), 1.0, 1.0).min() == 0


def test_a_folder_of_images_holds_the_datas_values(run, tmp_path):
    pytest.importorskip("PIL")
    run("sample", "digits.narrows", "-n", "3", "-o", tmp_path / "new", "--random-state", "0", "--label", "7")
    found = tables.read(tmp_path / "new")
    assert (found.shape, found.values.dtype) == ((8, 8), np.uint8)
    expected = narrows.load("digits.narrows").sample(3, y=7, random_state=0)
    np.testing.assert_array_equal(found.values, expected.reshape(3, -1))


@UNNAMED
def test_the_way_between_two_rows(run, tmp_path):
    way = ["interpolate", "plain.narrows", "plain.csv", "--from", "2", "--to", "5"]
    run(*way, "--steps", "4", "-o", tmp_path / "way.csv")
    found = tables.read(tmp_path / "way.csv")
    assert found.columns == list(TYPES)
    fitted, rows = narrows.load("plain.narrows"), _rows()
    run("reconstruct", "plain.csv", "-m", "plain.narrows", "-o", tmp_path / "again.npy")
    again = np.load(tmp_path / "again.npy")
    np.testing.assert_allclose(_numbers(tmp_path / "way.csv")[[0, -1]], again[[2, 5]], atol=0.06)
    run(*way, "--steps", "4", "--spherical", "-o", tmp_path / "way.npy")
    expected = Encoding.learn(fitted.schema_).encode(fitted.interpolate(rows[2], rows[5], 4, method="spherical"))
    np.testing.assert_allclose(np.load(tmp_path / "way.npy"), expected, rtol=1e-6)


def test_a_strip_of_images(run, tmp_path):
    pytest.importorskip("PIL")
    way = ["interpolate", "digits.narrows", "digits:test", "--from", "0", "--to", "9", "--steps", "5"]
    record = json.loads(run(*way, "-o", tmp_path / "way.png", "--json").out)
    assert record["images"] == 5
    assert tables.read_image(tmp_path / "way.png").shape == (66, 5 * 66)
    run(*way, "-o", tmp_path / "way")
    assert tables.read(tmp_path / "way").values.shape == (5, 64)


def test_rows_of_a_big_file_are_picked_from_the_stream(run, monkeypatch, tmp_path):
    way = ["interpolate", "plain.narrows", "plain.parquet", "--from", "239", "--to", "1"]
    run(*way, "-o", tmp_path / "whole.npy")
    monkeypatch.setattr("narrows.data.inputs.STREAM_BYTES", 100)
    run(*way, "-o", tmp_path / "pieces.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "whole.npy"), np.load(tmp_path / "pieces.npy"))


@UNNAMED
def test_encode_decode_and_bounds(run, tmp_path):
    base = ["plain.csv", "-m", "plain.narrows"]
    run("encode", *base, "-o", tmp_path / "codes.csv")
    run("decode", tmp_path / "codes.csv", "-m", "plain.narrows", "-o", tmp_path / "back.npy")
    run("reconstruct", *base, "-o", tmp_path / "again.npy")
    np.testing.assert_allclose(np.load(tmp_path / "back.npy"), np.load(tmp_path / "again.npy"), rtol=1e-3)
    run("score", *base, "--elbo", "-o", tmp_path / "bounds.csv")
    bounds = tables.read(tmp_path / "bounds.csv")
    assert bounds.columns == ["elbo", "reconstruction", "kl"]
    expected = narrows.load("plain.narrows").elbo(_rows())
    np.testing.assert_allclose(bounds.values, np.stack(expected, axis=1), rtol=1e-6)
    summary = json.loads(run("score", *base, "--elbo", "--json").out)
    assert summary["mean"]["elbo"] == pytest.approx(bounds.values[:, 0].mean())
    assert summary["worst"][0]["row"] == int(bounds.values[:, 0].argmin())


def _rows():
    columns = _mixed()
    return np.column_stack([columns[name].astype(float) for name in TYPES])


@pytest.fixture(scope="module")
def bad(home):
    (home / "codes3.csv").write_text("a,b,c\n1,2,3\n4,5,6\n")
    (home / "few.csv").write_text("a,b\n1,2\n4,5\n")
    (home / "gaps.csv").write_text("a,b\n1,2\n4,\n2,2\n4,2\n")
    (home / "odd.csv").write_text("a,b\n" + "1,true\n" * 1000 + "1,perhaps\n")
    tables.write(home / "plain.npy", np.ones((5, 1)))
    return home


def test_mistakes_are_one_line_and_leave_nothing(bad, refuse):
    refuse(
        """
        fit people.csv -o m.narrows --model vae | --labels nothing ; --labels height --columns age,visits
        fit people.csv -o m.narrows --model vae | --labels group --columns group
        fit people.csv -o m.narrows --model vae | --labels codes3.csv ; --labels group --ordered
        fit people.csv -o m.narrows --model vae | --labels group --scaling minmax ; --labels group --prior flat
        fit people.csv -o m.narrows --model vae | --labels group --beta -1 ; --conditional ; --clean people.csv
        fit gaps.csv -o m.narrows --model vae --labels b
        fit few.csv -o m.narrows --model vae --labels plain.npy ~
        fit digits -o m.narrows --model vae --labels x
        fit plain.csv -o m.narrows --beta 2
        fit people.csv -o m.narrows --labels group
        fit plain.csv -o m.narrows --model vae --network convolutional(skips=true) ~
        sample ~
        sample nowhere.narrows
        sample people.csv
        sample ae.narrows
        sample plain.narrows | -n 0 ~ ; -o rows.txt ; -o nowhere/rows.csv ~ ; -o rows.png ; -o rows ~ ; --label 3
        sample people.narrows --label 3
        sample plain.narrows | --prior flat ; --random-state 9999999999 ~
        sample digits.narrows
        interpolate plain.narrows | plain.csv --from 0 --to 1 ~ ; plain.csv --from 0 --to 240 -o w.csv
        interpolate plain.narrows | plain.csv --from -1 --to 2 -o w.csv ~
        interpolate plain.narrows | plain.csv --from 0 --to 2 --steps 1 -o w.csv ~
        interpolate plain.narrows | plain.csv --from 0 --to 2 -o plain.csv ; codes3.csv --from 0 --to 1 -o w.csv ~
        interpolate ae.narrows plain.csv --from 0 --to 1 -o w.csv ~
        interpolate people.narrows plain.csv --from 0 --to 1 -o w.csv --label old
        score plain.csv | -m ae.narrows --elbo ; -m plain.narrows --elbo --per-feature
        """
    )
