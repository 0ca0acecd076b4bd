"""The command line, end to end: `main` runs in this process, as the installed command would run it."""

import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import narrows
import plain_tables as tables
from narrows.cli import main, options
from narrows.cli.flags import construct, members, models, option_to_text, parse
from narrows.cli.verbs import CODEC_VERBS, VERBS

HEAVY = ("torch", "sklearn", "numpy", "scipy", "pandas", "polars", "pyarrow", "safetensors", "constriction")
QUICK = ["--max-epochs", "4", "--random-state", "0"]
NAMES = ["age", "height", "weight", "pulse", "speed", "depth"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with one table in each format and a model fitted to it through the command line."""
    folder = tmp_path_factory.mktemp("cli")
    X = narrows.datasets.make_manifold(300, 6, n_latent=2, random_state=0).astype(np.float32)
    for ending in ("csv", "tsv", "parquet", "npy", "npz"):
        tables.write(folder / f"people.{ending}", X, columns=None if ending.startswith("np") else NAMES)
    arguments = [str(folder / "people.csv"), "-o", str(folder / "people.narrows"), "--n-components", "2", "--quiet"]
    assert main(["fit", *arguments, *QUICK]) == 0
    return folder


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from narrows.cli import main; from narrows.cli.verbs import CODEC_VERBS, VERBS\n"
        "lines = [[], ['lab'], ['codec'], *([verb] for verb in VERBS), *(['codec', verb] for verb in CODEC_VERBS)]\n"
        "codes = {main([*line, '--help']) for line in lines}\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], codes, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[] {0}"
    assert done.stdout.count("Usage: narrows") == 3 + len(VERBS) + len(CODEC_VERBS)


def test_help_takes_no_longer_than_a_few_bare_starts():
    def seconds(*arguments):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        return time.perf_counter() - start

    # typer and argparse alike need inspect, re and so on; torch alone would be thirty bare starts.
    bare = min(seconds("-c", "import inspect, typing, dataclasses, json") for _ in range(3))
    assert min(seconds("-m", "narrows", "--help") for _ in range(4)) < 4 * bare + 0.15


def test_version_and_no_arguments(run):
    assert run("--version").out == f"narrows {narrows.__version__}\n"
    assert run().out == run("--help").out


def test_the_kept_options_are_those_of_the_constructors():
    kept = Path(options.__file__).with_name("options.json").read_text(encoding="utf-8")
    assert kept == options.text(), "run python -m narrows.cli.options"


@pytest.mark.parametrize("verb", [*VERBS.values(), *CODEC_VERBS.values()], ids=lambda verb: verb.home)
def test_functions_take_what_their_verbs_declare(verb):
    parameters = inspect.signature(verb.function()).parameters.values()
    own = {p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}
    declared = {flag.name for flag in verb.flags} | ({"reading"} if verb.reads else set())
    assert own <= declared
    assert own == declared or len(own) < len(parameters)


@pytest.mark.parametrize("model", models())
def test_every_parameter_has_a_flag_and_a_word_of_help(run, model):
    shown = run("codec", "fit", "--help").out if model == "codec" else run("fit", "--help").out
    for name, parameter in models()[model].parameters.items():
        assert (parameter.flag in shown) == (name not in ("callbacks", "autoencoder"))


@pytest.mark.parametrize("name", ["network", "likelihood", "corruption", "optimizer", "schedule", "prior"])
def test_every_option_value_can_be_typed(name):
    model = "vae" if name == "prior" else "autoencoder"
    for member, defaults in members(models()[model].parameters[name].family).items():
        for text in (member, option_to_text({"option": member, **defaults})):
            value = getattr(construct(model, parse(model, {name: text})), name)
            assert value == member or value == type(value)()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("n_components", "3", 3),
        ("n_components", "auto", "auto"),
        ("learning_rate", "1e-3", 1e-3),
        ("max_seconds", "none", None),
        ("random_state", "7", 7),
        ("network", "Dense(hidden=(128,), activation='relu')", narrows.networks.Dense((128,), activation="relu")),
        ("network", "dense([64, 32], activation=relu)", narrows.networks.Dense((64, 32), activation="relu")),
        ("network", "dense(hidden=())", narrows.networks.Dense(())),
        ("network", "dense(linear_path=False)", narrows.networks.Dense(linear_path=False)),
        ("corruption", "salt-and-pepper(high=16)", narrows.corruption.SaltAndPepper(high=16)),
        ("corruption", "none", None),
        ("likelihood", "gaussian(bounds=(-1, 1))", narrows.likelihoods.Gaussian((-1, 1))),
        ("optimizer", "auto", "auto"),
    ],
)
def test_text_becomes_a_value(name, text, value):
    got = getattr(construct("autoencoder", parse("autoencoder", {name: text})), name)
    assert got == value
    assert type(got) is type(value)


def test_flags_reach_the_model(run, home, tmp_path):
    network = "dense(hidden=(16,), activation=relu)"
    flags = ["--network", network, "--corruption", "gaussian(0.05)", "--no-early-stopping", "--scaling", "standard"]
    run("fit", home / "people.csv", "-o", tmp_path / "m.narrows", *flags, *QUICK)
    fitted = narrows.load(tmp_path / "m.narrows")
    assert fitted.network == narrows.networks.Dense((16,), activation="relu")
    assert fitted.corruption == narrows.corruption.Gaussian(0.05)
    assert fitted.early_stopping is False
    assert (fitted.scaling, fitted.max_epochs, fitted.random_state) == ("standard", 4, 0)
    changed = json.loads(run("info", tmp_path / "m.narrows", "--json").out)["changed_options"]
    assert changed["corruption"] == "gaussian(sigma=0.05)"
    assert changed["network"] == "dense(hidden=(16,), activation=relu)"
    assert "learning_rate" not in changed


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "npy", "npz"])
def test_every_format_fits_and_encodes(run, home, tmp_path, ending):
    model, codes = tmp_path / "m.narrows", tmp_path / f"codes.{ending}"
    summary = json.loads(run("fit", home / f"people.{ending}", "-o", model, "--json", *QUICK).out)
    assert (summary["rows"], summary["columns"], summary["n_components"]) == (300, 6, 3)
    assert set(summary["baselines"]) >= {"model", "pca", "mean"}
    fitted = narrows.load(model)
    if not ending.startswith("np"):
        assert list(fitted.feature_names_in_) == NAMES
    run("encode", home / f"people.{ending}", "-m", model, "-o", codes)
    written = tables.read(codes)
    X = tables.read(home / f"people.{ending}").values
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        expected = fitted.transform(X)
    np.testing.assert_array_equal(written.values.astype(expected.dtype), expected)
    assert written.columns == (None if ending == "npy" else list(fitted.get_feature_names_out()))


def test_decode_undoes_encode_as_reconstruct_does(run, home, tmp_path):
    model = ["-m", home / "people.narrows"]
    run("encode", home / "people.csv", *model, "-o", tmp_path / "codes.parquet")
    run("decode", tmp_path / "codes.parquet", *model, "-o", tmp_path / "back.csv")
    run("reconstruct", home / "people.csv", *model, "-o", tmp_path / "again.csv")
    back, again = tables.read(tmp_path / "back.csv"), tables.read(tmp_path / "again.csv")
    assert back.columns == again.columns == NAMES
    np.testing.assert_allclose(back.values, again.values, rtol=1e-5, atol=1e-5)


def test_score_to_a_file_and_as_a_summary(run, home, tmp_path):
    base = ["score", home / "people.csv", "-m", home / "people.narrows"]
    run(*base, "-o", tmp_path / "rows.csv")
    run(*base, "--per-feature", "-o", tmp_path / "values.parquet")
    rows, values = tables.read(tmp_path / "rows.csv"), tables.read(tmp_path / "values.parquet")
    assert rows.columns == ["reconstruction_error"]
    assert values.columns == NAMES
    np.testing.assert_allclose(rows.values[:, 0], values.values.mean(1))
    summary = json.loads(run(*base, "--per-feature", "--json").out)
    assert summary["mean"] == pytest.approx(rows.values.mean())
    assert summary["worst"][0] == {"row": int(rows.values.argmax()), "error": pytest.approx(rows.values.max())}
    worst = int(values.values.mean(0).argmax())
    assert summary["features"][0]["feature"] == NAMES[worst]
    shown = run(*base, "--per-feature").out
    assert NAMES[worst] in shown


def test_columns_are_found_by_name_in_any_order_among_others(run, home, tmp_path):
    X = tables.read(home / "people.csv").values
    text = ["note,depth,speed,pulse,weight,height,age"]
    text += ["hello," + ",".join(map(repr, row[::-1].tolist())) for row in X[:20]]
    (tmp_path / "mixed.csv").write_text("\n".join(text))
    tables.write(tmp_path / "plain.csv", X[:20], columns=NAMES)
    for name in ("mixed", "plain"):
        run("encode", tmp_path / f"{name}.csv", "-m", home / "people.narrows", "-o", tmp_path / f"{name}.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "mixed.npy"), np.load(tmp_path / "plain.npy"))


def test_columns_chooses(run, home, tmp_path):
    run("fit", home / "people.parquet", "-o", tmp_path / "m.narrows", "--columns", "weight, age,pulse", *QUICK)
    assert list(narrows.load(tmp_path / "m.narrows").feature_names_in_) == ["weight", "age", "pulse"]
    run("fit", home / "people.npy", "-o", tmp_path / "m.narrows", "--columns", "4,0", *QUICK)
    assert narrows.load(tmp_path / "m.narrows").n_features_in_ == 2


@pytest.mark.parametrize("ending", ["csv", "parquet", "npy"])
def test_a_stream_keeps_the_names(run, home, tmp_path, ending):
    summary = run("fit", home / f"people.{ending}", "-o", tmp_path / "m.narrows", "--stream", "--json", *QUICK).out
    assert json.loads(summary)["rows"] == 300
    assert narrows.describe(tmp_path / "m.narrows")["fitted"].get("feature_names_in") == (
        None if ending == "npy" else NAMES
    )


def test_big_files_are_streamed_by_themselves(home, monkeypatch):
    from sklearn.base import BaseEstimator

    from narrows.data import inputs

    for ending, streamed in (("csv", True), ("npy", True), ("npz", False)):
        kinds = []
        for limit in (1 << 20, 100):
            monkeypatch.setattr(inputs, "STREAM_BYTES", limit)
            rows = inputs.validate_rows(BaseEstimator(), home / f"people.{ending}", reset=True, allow_missing=True).rows
            kinds.append(type(rows).__name__)
        assert kinds == ["ArrayRows", "StreamRows" if streamed else "ArrayRows"]


def test_a_named_data_set_and_its_test_part(run, tmp_path):
    model = tmp_path / "digits.narrows"
    run("fit", "digits", "-o", model, "--n-components", "4", "--max-epochs", "2")
    assert json.loads(run("score", "digits:test", "-m", model, "--json").out)["rows"] == 360
    run("info", model)


def test_a_model_no_better_than_pca_is_said_in_one_line(run, tmp_path):
    tables.write(tmp_path / "noise.npy", np.random.default_rng(0).normal(size=(200, 5)))
    printed = run("fit", tmp_path / "noise.npy", "-o", tmp_path / "m.narrows", "--n-components", "1", *QUICK)
    [line] = printed.err.splitlines()
    assert line.startswith("Note: ")


def test_missing_values(run, tmp_path):
    X = np.random.default_rng(0).normal(size=(100, 4))
    X[3, 1] = np.nan
    tables.write(tmp_path / "gaps.csv", X, columns=list("abcd"))
    model = tmp_path / "m.narrows"
    run("fit", tmp_path / "gaps.csv", "-o", model, "--missing", "mask", *QUICK)
    run("reconstruct", tmp_path / "gaps.csv", "-m", model, "-o", tmp_path / "whole.npy")
    assert np.isfinite(np.load(tmp_path / "whole.npy")).all()
    summary = json.loads(run("score", tmp_path / "gaps.csv", "-m", model, "--per-feature", "--json").out)
    assert all(feature["error"] > 0 for feature in summary["features"])


def test_quiet_says_nothing(run, home, tmp_path):
    printed = run("fit", home / "people.csv", "-o", tmp_path / "m.narrows", "-q", "--n-components", "2", *QUICK)
    assert printed.out == ""


def test_datasets(run, monkeypatch, tmp_path):
    monkeypatch.setenv("NARROWS_DATA", str(tmp_path))
    monkeypatch.setenv("NARROWS_CACHE", str(tmp_path / "cache"))
    found = {record["name"]: record for record in json.loads(run("datasets", "--json").out)}
    assert set(found) == {*narrows.datasets.names(), "movielens-small"}
    assert found["digits"]["present"] is True
    assert found["mnist"]["present"] is False
    (tmp_path / "mnist").mkdir()
    for file in narrows.datasets.describe("mnist").files:
        (tmp_path / "mnist" / file.name).touch()
    found = {record["name"]: record for record in json.loads(run("datasets", "--json").out)}
    assert found["mnist"]["folder"] == str(tmp_path / "mnist")
    assert (found["movielens-small"]["n_users"], found["movielens-small"]["folder"]) == (610, None)
    (tmp_path / "ml-latest-small").mkdir()
    (tmp_path / "ml-latest-small" / "ml-latest-small.zip").touch()
    found = {record["name"]: record for record in json.loads(run("datasets", "--json").out)}
    assert found["movielens-small"]["folder"] == str(tmp_path / "ml-latest-small")
    shown = run("datasets").out
    assert all(name in shown for name in found)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_saves_the_best_model_so_far(run, tmp_path):
    tables.write(tmp_path / "X.npy", np.random.default_rng(0).normal(size=(6000, 20)))
    model, marker = tmp_path / "m.narrows", tmp_path / "state"

    done = threading.Event()

    def interrupt():
        # The checkpoint says that the training has begun.
        while not marker.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        # Python drops the exception where a finaliser or a callback of C happens to run: then it is asked again.
        while not done.wait(30):
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    long = ["--max-epochs", "100000", "--no-early-stopping", "--checkpoint", marker, "--checkpoint-seconds", "0.1"]
    try:
        assert "m.narrows" in run("fit", tmp_path / "X.npy", "-o", model, *long).err
    finally:
        done.set()
    assert narrows.load(model).stopped_ == "interrupted"
