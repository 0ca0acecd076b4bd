"""The verbs of the codec, end to end: fitted, looked at, put to use, verified, and every mistake told in one line."""

import json
import sys

import numpy as np
import pyarrow as pa
import pytest

import narrows
import plain_tables as tables
from narrows.cli import main
from narrows.cli.codec.fit import error_bounds
from narrows.cli.errors import CommandError
from narrows.codec import Codec
from narrows.data.output import write_table

NAMES = ["day", "weekday", "price"]
QUICK = ["--max-seconds", "2", "--seed", "0"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with data of several kinds and a codec for each."""
    folder = tmp_path_factory.mktemp("cli_codec")
    days = np.arange(3000)
    table = np.stack([days, days % 7, (days % 7) * 0.25 + days % 3], axis=1)
    write_table(folder / "sales.csv", pa.table({"day": days, "weekday": days % 7, "price": table[:, 2]}))
    tables.write(folder / "sales.npy", table)
    rows = "\n".join(f"{day},{'even' if day % 2 == 0 else 'odd'},{day % 5}" for day in range(400))
    (folder / "words.csv").write_text(f"day,word,grade\n{rows}\n")
    rng = np.random.default_rng(0)
    walk = rng.normal(size=(2000, 3)).cumsum(axis=0).astype(np.float32)
    np.save(folder / "series.npy", walk)
    np.save(folder / "wide.npy", np.zeros((5, 4), np.float32))
    np.save(folder / "pictures.npy", (rng.random((300, 6, 5)) < 0.2).astype(np.uint8) * 200)
    np.save(folder / "others.npy", np.zeros((9, 7, 7), np.uint8))
    (folder / "folder").mkdir()
    (folder / "notes.txt").write_text("hello")
    (folder / "empty.nrw").write_bytes(b"")
    fits = {"sales": ["sales.csv"], "words": ["words.csv"], "series": ["series.npy", "--max-error", "0.01"]}
    fits |= {"pictures": ["pictures.npy"], "codes": ["digits", "--code-only", "-n", "3"]}
    for name, (data, *more) in fits.items():
        place = data if data == "digits" else str(folder / data)
        assert main(["codec", "fit", place, "-o", str(folder / f"{name}.narrows"), "-q", *more, *QUICK]) == 0
    for name in ("sales", "words", "series", "pictures"):
        data = folder / fits[name][0]
        assert (
            main(["compress", str(data), "-m", str(folder / f"{name}.narrows"), "-o", str(folder / f"{name}.nrw")]) == 0
        )
    return folder


@pytest.fixture(scope="module")
def damaged(home):
    """A compressed file of several blocks, one of which has a flipped bit, and its description."""
    codec = Codec.load(home / "sales.narrows")
    values = np.random.default_rng(1).integers(0, 7, (2 * codec._engine.rows_per_block + 7, 3))
    rows = {"day": values[:, 0], "weekday": values[:, 1], "price": values[:, 2] / 4}
    data = bytearray(codec.compress(rows))
    record = codec.describe(bytes(data))
    assert record["n_blocks"] == 3
    data[len(data) * 3 // 4] ^= 1
    (home / "damaged.nrw").write_bytes(data)
    return rows, record


@pytest.mark.parametrize(
    ("texts", "bounds"),
    [(["1e-3"], 0.001), (["none"], None), (["a=1", "b=2.5"], {"a": 1.0, "b": 2.5}), (["x=y=2"], {"x=y": 2.0})],
)
def test_bounds_are_read(texts, bounds):
    assert error_bounds(texts) == bounds


@pytest.mark.parametrize(
    "texts", [["x"], ["0"], ["-1"], ["inf"], ["a="], ["=1"], ["1", "a=1"], ["a=1", "a=2"], ["1", "2"]]
)
def test_bounds_that_cannot_be_are_refused(texts):
    with pytest.raises(CommandError, match="--max-error"):
        error_bounds(texts)


def test_fit_gives_the_same_as_json(run, home):
    told = json.loads(run("codec", "fit", "sales.csv", "-o", "told.narrows", "--json", *QUICK).out)
    codec = Codec.load(home / "told.narrows")
    assert told["bits_per_value"] == codec.bits_per_value_
    assert told["peers"] == codec.peers_
    assert told["rows_to_pay"] == codec.rows_to_pay_
    assert told["model_bytes"] == (home / "told.narrows").stat().st_size


def test_a_codec_that_is_not_smaller_says_so(run, home):
    np.save(home / "noise.npy", np.random.default_rng(0).integers(0, 256, (500, 3), dtype=np.uint8))
    printed = run("codec", "fit", "noise.npy", "-o", "noise.narrows", *QUICK)
    [line] = printed.err.splitlines()
    assert line.startswith("Note: ")


def test_columns_and_bounds_by_name_and_position(run, home):
    run(
        "codec", "fit", "sales.csv", "-o", "two.narrows", "-q", "--columns", "day,price", "--max-error", "1=0.5", *QUICK
    )
    run("compress", "sales.csv", "--columns", "day,price", "-m", "two.narrows", "-o", "two.nrw")
    run("decompress", "two.nrw", "-m", "two.narrows", "-o", "two.csv")
    found, given = tables.read(home / "two.csv"), tables.read(home / "sales.csv", columns=["day", "price"])
    assert found.columns == ["day", "price"]
    error = np.abs(found.values - given.values).max(axis=0)
    assert error[0] == 0
    assert 0 < error[1] <= 0.5
    run("codec", "fit", "sales.csv", "-o", "named.narrows", "-q", "--max-error", "price=0.5", *QUICK)
    assert narrows.describe(home / "named.narrows")["options"]["max_error"] == {"columns": [["price", 0.5]]}


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize("name", ["sales", "words"])
def test_tables_come_back(run, name, ending):
    run("decompress", f"{name}.nrw", "-m", f"{name}.narrows", "-o", f"again.{ending}")
    found, given = tables.read_named(f"again.{ending}"), tables.read_named(f"{name}.csv")
    assert list(found) == list(given)
    assert all(found[column].tolist() == given[column].tolist() for column in given)


@pytest.mark.parametrize(("name", "bound"), [("pictures", 0), ("series", 0.01)])
def test_arrays_come_back_with_their_shape_and_type(run, name, bound):
    run("decompress", f"{name}.nrw", "-m", f"{name}.narrows", "-o", "again.npy")
    found, given = np.load("again.npy"), np.load(f"{name}.npy")
    assert (found.dtype, found.shape) == (given.dtype, given.shape)
    assert (np.abs(found.astype(float) - given).max() > 0) == (bound > 0)
    assert np.abs(found.astype(float) - given).max() <= bound


@pytest.mark.parametrize(
    ("rows", "chosen", "ending"),
    [
        *[("100:200", slice(100, 200), "npy"), (":3", slice(3), "csv")],
        *[("-2:", slice(-2, None), "parquet"), ("-1", [-1], "npz")],
    ],
)
def test_some_rows_alone(run, home, rows, chosen, ending):
    told = json.loads(
        run("decompress", "sales.nrw", "-m", "sales.narrows", "-o", f"some.{ending}", "--rows", rows, "--json").out
    )
    found, given = tables.read(home / f"some.{ending}"), tables.read(home / "sales.csv").values[chosen]
    assert np.array_equal(found.values, given)
    assert found.columns == (NAMES if ending in ("csv", "parquet") else None if ending == "npy" else ["x0", "x1", "x2"])
    assert told["rows"] == len(given)
    assert told["of_rows"] == 3000


@pytest.mark.filterwarnings("ignore::narrows.errors.NotBetterThanBaselineWarning")
def test_a_frame_of_python_comes_back(run, home):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": np.arange(50), "b": ["x", "yy"] * 25}, index=pd.Index([*range(149, 99, -1)], name="id"))
    codec = Codec(max_seconds=1, random_state=0).fit(frame)
    codec.save(home / "frame.narrows")
    (home / "frame.nrw").write_bytes(codec.compress(frame))
    run("decompress", "frame.nrw", "-m", "frame.narrows", "-o", "frame.parquet", "--rows", "3:9")
    pd.testing.assert_frame_equal(pd.read_parquet(home / "frame.parquet"), frame[3:9])
    run("decompress", "frame.nrw", "-m", "frame.narrows", "-o", "frame.csv", "--rows", "3:5")
    assert (home / "frame.csv").read_text() == "id,a,b\n146,3,yy\n145,4,x\n"


def test_named_sets_and_their_parts(run, home):
    told = json.loads(run("compress", "digits:test", "-m", "codes.narrows", "-o", "digits.nrw", "--json").out)
    given = narrows.datasets.load("digits").test
    assert told["n_rows"] == len(given)
    assert told["n_bytes"] == (home / "digits.nrw").stat().st_size
    assert told["ratio"] == told["raw_bytes"] / told["n_bytes"]
    assert told["bits_per_value"] == 8 * told["n_bytes"] / given.size
    run("decompress", "digits.nrw", "-m", "codes.narrows", "-o", "digits.npy")
    found = np.load(home / "digits.npy").reshape(given.shape)
    assert np.square(found - given.astype(float)).mean() < 0.9 * given.astype(float).var(axis=0).mean()


def test_a_folder_of_images(run, home):
    from plain_tables import write_images

    pictures = np.load(home / "pictures.npy")[:20]
    write_images(home / "images", pictures)
    run("compress", "images", "-m", "pictures.narrows", "-o", "images.nrw")
    run("decompress", "images.nrw", "-m", "pictures.narrows", "-o", "images.npy")
    assert np.array_equal(np.load(home / "images.npy").reshape(pictures.shape), pictures)


def test_info_of_a_codec_and_of_a_compressed_file(run):
    told = json.loads(run("codec", "info", "sales.narrows", "--json").out)
    printed = json.loads(run("codec", "info", "sales.nrw", "--json").out)
    assert printed["fingerprint"] == told["fingerprint"]
    assert printed["n_rows"] == 3000
    assert all(word in run("codec", "info", "sales.nrw").out for word in (*NAMES, told["fingerprint"]))
    told = json.loads(run("info", "sales.narrows", "--json").out)
    assert told["class"] == "Codec"
    assert told["changed_options"] == {"max_seconds": "2.0", "random_state": "0"}
    assert "zstd" in run("info", "sales.narrows").out


def test_size_against_error_of_the_code_alone(run, home):
    printed = run("codec", "info", "codes.narrows", "--plot", "curve.png")
    assert printed.out.count("chosen") == 1
    assert (home / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_verify_names_what_is_damaged(run, damaged):
    assert json.loads(run("codec", "verify", "sales.nrw", "-m", "sales.narrows", "--json").out)["whole"] is True
    _, record = damaged
    step = record["rows_per_block"]
    printed = run("codec", "verify", "damaged.nrw", "-m", "sales.narrows", code=1)
    assert printed.err == "narrows: damaged.nrw is damaged.\n"
    told = json.loads(run("codec", "verify", "damaged.nrw", "-m", "sales.narrows", "--json", code=1).out)
    assert told["whole"] is False
    assert told["damaged"] == [{"block": 1, "first_row": step, "last_row": 2 * step - 1}]


def test_what_is_whole_can_be_had(run, home, damaged):
    rows, record = damaged
    step = record["rows_per_block"]
    refused = run("decompress", "damaged.nrw", "-m", "sales.narrows", "-o", "saved.csv", code=2)
    assert all(word in refused.err for word in (f"{step:,}", f"{2 * step - 1:,}", "--skip-damaged"))
    assert not (home / "saved.csv").exists()
    printed = run("decompress", "damaged.nrw", "-m", "sales.narrows", "-o", "saved.npy", "--skip-damaged")
    assert printed.err.startswith("Note: ")
    rows = np.column_stack(list(rows.values()))
    assert np.array_equal(np.load(home / "saved.npy"), np.concatenate([rows[:step], rows[2 * step :]]))
    run("decompress", "damaged.nrw", "-m", "sales.narrows", "-o", "first.npy", "--rows", ":9")
    assert np.array_equal(np.load(home / "first.npy"), rows[:9])


def test_mistakes_are_one_line_and_leave_nothing(home, refuse):
    (home / "cut.nrw").write_bytes((home / "sales.nrw").read_bytes()[:-30])
    narrows.Autoencoder(1, max_epochs=1, random_state=0).fit(np.eye(8)).save(home / "plain.narrows")
    refuse(
        """
        codec fit | ~ ; sales.csv ~
        codec fitt sales.csv
        codec bogus
        codec fit | digts -o m.narrows ~ ; digits:tset -o m.narrows ~ ; nowhere.csv -o m.narrows
        codec fit | folder -o m.narrows ~ ; notes.txt -o m.narrows ~ ; sales.csv -o m.csv ~ ; sales.csv -o nowhere/m ~
        codec fit | digits -o m.narrows --columns 1,2 ; sales.csv -o m.narrows --bogus 3 ~
        codec fit | sales.csv -o m.narrows --columns day,size ; sales.csv -o m.narrows --max-error loud
        codec fit | sales.csv -o m.narrows --max-error size=1 ; sales.csv -o m.narrows --max-error 17=1
        codec fit | sales.csv -o m.narrows --relative ~ ; sales.csv -o m.narrows --code-only --max-error 1
        codec fit | sales.csv -o m.narrows --n-components 3 ; sales.csv -o m.narrows --code-only -n two
        codec fit | sales.csv -o m.narrows --code-only -n 0 ~ ; sales.csv -o m.narrows --max-seconds soon
        codec fit | sales.csv -o m.narrows --max-seconds 0 ~ ; sales.csv -o m.narrows --n-jobs 0 ~
        codec fit | sales.csv -o m.narrows --image-shape a,b ; pictures.npy -o m.narrows --image-shape 3,3 ~
        codec fit | words.csv -o m.narrows --code-only ~ ; sales.nrw -o m.narrows ~
        compress sales.csv -m sales.narrows ~
        compress nowhere.csv -m sales.narrows -o x.nrw ~
        compress sales.csv | -m nowhere.narrows -o x.nrw ; -m sales.csv -o x.nrw ; -m sales.nrw -o x.nrw
        compress sales.csv | -m sales.narrows -o x.csv ; -m sales.narrows -o sales.narrows ~
        compress sales.csv | -m sales.narrows -o folder ; -m sales.narrows -o x.nrw --columns day ~
        compress wide.npy -m series.narrows -o x.nrw ~
        compress sales.npy -m series.narrows -o x.nrw ~
        compress others.npy | -m series.narrows -o x.nrw ~ ; -m pictures.narrows -o x.nrw ~
        compress words.csv -m sales.narrows -o x.nrw ~
        decompress sales.nrw -m sales.narrows ~
        decompress nowhere.nrw -m sales.narrows -o x.npy
        decompress folder -m sales.narrows -o x.npy
        decompress empty.nrw -m sales.narrows -o x.npy
        decompress notes.txt -m sales.narrows -o x.npy ~
        decompress cut.nrw -m sales.narrows -o x.npy ~
        decompress sales.nrw | -m series.narrows -o x.npy ~ ; -m sales.narrows -o x.txt ~
        decompress sales.nrw | -m sales.narrows -o nowhere/x.npy ~
        decompress words.nrw -m words.narrows -o x.npy | ~ ; --rows 3 ~
        decompress sales.nrw -m sales.narrows -o x.npy | --rows a:b ; --rows 1:2:3 ; --rows 5000: ~ ; --rows 9:3 ~
        codec verify | sales.nrw ~ ; cut.nrw -m sales.narrows ~ ; sales.nrw -m series.narrows ~
        codec verify | sales.npy -m sales.narrows ~
        codec info | nowhere ; folder ; cut.nrw ~ ; plain.narrows ; sales.nrw --plot x.png
        codec info | sales.narrows --plot x.png ~ ; codes.narrows --plot x.txt ~
        compress sales.csv -m plain.narrows -o x.nrw
        info sales.nrw
        encode sales.csv | -m sales.nrw -o x.csv ~ ; -m sales.narrows -o x.csv ~
        """
    )


def test_without_the_library_that_codes(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "constriction", None)
    codec = ["-m", "sales.narrows"]
    for line in (["codec", "fit", "sales.csv", "-o", "m"], ["compress", "sales.csv", *codec, "-o", "x.nrw"]):
        assert "narrows[codec]" in run(*line, code=2).err
    assert "narrows[codec]" in run("codec", "verify", "sales.nrw", *codec, code=2).err
    run("codec", "info", "sales.narrows")
    run("codec", "info", "sales.nrw")


def test_ctrl_c_leaves_nothing(home, monkeypatch, capsys):
    monkeypatch.chdir(home)

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("narrows.codec.codec.write_blocks", interrupted)
    before = {file.name for file in home.iterdir()}
    assert main(["compress", "sales.csv", "-m", "sales.narrows", "-o", "cancelled.nrw"]) == 130
    assert {file.name for file in home.iterdir()} == before
