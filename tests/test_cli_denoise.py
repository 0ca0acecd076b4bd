"""Images on the command line: ``narrows denoise``, and folders of images for the other verbs."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import narrows
from narrows import datasets, tables
from narrows.cli import main
from narrows.metrics import psnr, ssim

pytest.importorskip("PIL")
pytest.importorskip("skimage")

QUICK = ["--max-epochs", "8", "--random-state", "0", "-q"]
SKIPS = "convolutional(channels=(8,16),skips=True)"


def _noisy(images, sigma, seed=0):
    noise = np.random.default_rng(seed).normal(0, sigma, images.shape)
    return np.rint(images + noise).clip(0, 255).astype(np.uint8)


def _fit(*arguments):
    # Eight passes need not be enough to beat PCA; that is said in a line on the standard error.
    assert main(["fit", *map(str, arguments), *QUICK]) == 0


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Digits and photographs, noisy and clean, as folders and tables, and a model for each."""
    folder = tmp_path_factory.mktemp("denoise")
    digits = datasets.load("digits").train[:300].reshape(-1, 8, 8) * 15
    tables.write_images(folder / "clean", digits)
    tables.write_images(folder / "noisy", _noisy(digits, 60))
    names = [f"p{k}" for k in range(64)]
    tables.write(folder / "clean.csv", digits.reshape(300, -1)[:, ::-1], columns=names[::-1])
    tables.write(folder / "noisy.csv", _noisy(digits, 60).reshape(300, -1), columns=names)
    rows, columns = np.mgrid[:40, :50]
    waves = [127 + 60 * np.sin(rows[: 32 + 4 * k] / (3 + k)) + 60 * np.cos(columns[: 32 + 4 * k] / 5) for k in range(3)]
    photos = [np.rint(wave).astype(np.uint8) for wave in waves]
    tables.write_images(folder / "photos", photos, names=["a.png", "b.png", "c.png"])
    noisy = [_noisy(photo, 25, k) for k, photo in enumerate(photos)]
    tables.write_images(folder / "grainy", noisy, names=["a.png", "b.tif", "c.jpg"])
    _fit(folder / "noisy", "--clean", folder / "clean", "-o", folder / "digits.narrows")
    _fit(folder / "noisy.csv", "--clean", folder / "clean.csv", "-o", folder / "table.narrows")
    pairs = [folder / "grainy", "--clean", folder / "photos", "--patches", "16", "--network", SKIPS]
    assert main(["fit", *map(str, pairs), "-o", str(folder / "photos.narrows"), "--max-epochs", "1", "-q"]) == 0
    return folder


@pytest.fixture
def run(capsys, home, monkeypatch):
    """Run a command line in the home that must succeed; gives what it printed."""
    monkeypatch.chdir(home)

    def call(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed

    return call


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from narrows.cli import main; code = main(['denoise', '--help'])\n"
        "print([name for name in ('torch', 'numpy', 'PIL', 'skimage') if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[] 0"
    assert "--tile" in done.stdout


# Denoise


def test_an_image(run, home, tmp_path):
    record = json.loads(
        run(
            "denoise",
            "grainy/a.png",
            "-m",
            "photos.narrows",
            "-o",
            tmp_path / "a.tif",
            "--clean",
            "photos/a.png",
            "--json",
        ).out
    )
    clean, noisy = tables.read_image("photos/a.png"), tables.read_image("grainy/a.png")
    result = tables.read_image(tmp_path / "a.tif")
    assert (result.shape, result.dtype) == (clean.shape, np.uint8)
    expected = np.rint(narrows.load("photos.narrows").denoise_image(noisy)).clip(0, 255)
    assert np.array_equal(result, expected)
    assert record["psnr"] == {"input": psnr(clean, noisy), "output": psnr(clean, result)}
    assert record["ssim"] == {"input": ssim(clean, noisy), "output": ssim(clean, result)}
    assert record["psnr"]["output"] > record["psnr"]["input"] + 5
    assert record["shape"] == [32, 50]


def test_info_says_that_there_is_no_code_and_what_became_of_the_noise(run):
    printed = " ".join(run("info", "photos.narrows").out.split())
    assert "none: the network has skips" in printed
    assert "numbers a row" not in printed
    assert "than the noisy input" in printed
    assert "dimensions" in " ".join(run("info", "table.narrows").out.split())


def test_tiles_leave_no_trace(run, tmp_path):
    for name, tile in [("whole.png", []), ("tiles.png", ["--tile", "16"])]:
        run("denoise", "grainy/b.tif", "-m", "photos.narrows", "-o", tmp_path / name, *tile)
    whole, tiles = (tables.read_image(tmp_path / name).astype(int) for name in ("whole.png", "tiles.png"))
    # Sums in another order may round to the other side.
    assert np.abs(whole - tiles).max() <= 1


def test_what_is_said_without_and_with_a_clean_version(run, tmp_path):
    plain = run("denoise", "grainy/c.jpg", "-m", "photos.narrows", "-o", tmp_path / "c.jpg")
    assert plain.err == ""
    assert "50 x 40 pixels" in plain.out
    assert "PSNR" not in plain.out
    told = run(
        "denoise", "grainy/c.jpg", "-m", "photos.narrows", "-o", tmp_path / "c.jpg", "--clean", "photos/c.png"
    ).out
    result = psnr(tables.read_image("photos/c.png"), tables.read_image(tmp_path / "c.jpg"))
    assert f"dB before, {result:.2f} dB after" in told
    assert "SSIM" in told


def test_a_folder_of_images_of_several_sizes(run, tmp_path):
    out = tmp_path / "out"
    record = json.loads(run("denoise", "grainy", "-m", "photos.narrows", "-o", out, "--clean", "photos", "--json").out)
    # JPEG becomes PNG, other names stay.
    assert sorted(file.name for file in out.iterdir()) == ["a.png", "b.tif", "c.png"]
    assert [one["name"] for one in record["each"]] == ["a.png", "b.tif", "c.jpg"]
    after = [psnr(tables.read_image(f"photos/{k}.png"), tables.read_image(next(out.glob(f"{k}.*")))) for k in "abc"]
    assert [one["psnr"]["output"] for one in record["each"]] == pytest.approx(after)
    assert record["psnr"]["output"] == pytest.approx(np.mean(after))
    assert record["psnr"]["output"] > record["psnr"]["input"] + 5
    assert record["images"] == 3
    assert (
        "means over the images"
        in run("denoise", "grainy", "-m", "photos.narrows", "-o", tmp_path / "again", "--clean", "photos").out
    )


def test_depth_is_kept(run, tmp_path):
    deep = tables.read_image("grainy/a.png").astype(np.uint16) * 257
    tables.write_image(tmp_path / "a.png", deep)
    tables.write_image(tmp_path / "b.tif", (deep / 65535).astype(np.float32))
    run("denoise", tmp_path / "a.png", "-m", "photos.narrows", "-o", tmp_path / "out.png")
    run("denoise", tmp_path / "b.tif", "-m", "photos.narrows", "-o", tmp_path / "out.tif")
    assert tables.read_image(tmp_path / "out.png").dtype == np.uint16
    assert tables.read_image(tmp_path / "out.tif").dtype == np.float32


def test_colours_go_through_a_grey_model_one_by_one(run, tmp_path):
    grey = tables.read_image("grainy/a.png")
    tables.write_image(tmp_path / "a.png", np.stack([grey, grey, 255 - grey], -1))
    run("denoise", tmp_path / "a.png", "-m", "photos.narrows", "-o", tmp_path / "out.png")
    run("denoise", "grainy/a.png", "-m", "photos.narrows", "-o", tmp_path / "grey.png")
    assert np.array_equal(tables.read_image(tmp_path / "out.png")[:, :, 0], tables.read_image(tmp_path / "grey.png"))


def test_a_table(run, tmp_path):
    arguments = ["denoise", "noisy.csv", "-m", "table.narrows", "-o", tmp_path / "out.csv", "--clean", "clean.csv"]
    record = json.loads(run(*arguments, "--json").out)
    found = tables.read(tmp_path / "out.csv")
    clean = tables.read("clean.csv", columns=found.columns).values
    noisy = tables.read("noisy.csv").values
    assert found.columns == [f"p{k}" for k in range(64)]
    assert record["mean_squared_error"]["input"] == pytest.approx(np.square(noisy - clean).mean())
    assert record["mean_squared_error"]["output"] == pytest.approx(np.square(found.values - clean).mean(), rel=1e-4)
    assert record["mean_squared_error"]["output"] < 0.6 * record["mean_squared_error"]["input"]
    assert record["psnr"]["output"] > record["psnr"]["input"]
    assert "error" in run(*arguments).out


def test_a_named_set(run, tmp_path):
    run("denoise", "digits:test", "-m", "digits.narrows", "-o", tmp_path / "out.npy")
    expected = narrows.load("digits.narrows").denoise(datasets.load("digits").test)
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected)


# The other verbs


def test_a_model_of_a_folder_knows_the_shape(run, home):
    model = narrows.load(home / "digits.narrows")
    assert model.image_shape_ == (8, 8, 1)
    assert set(model.baselines_) >= {"input", "model", "pca"}
    assert narrows.load(home / "photos.narrows").image_shape_ == (16, 16, 1)
    # As the library would fit it.
    noisy, clean = (datasets.image_folder(name).images for name in ("noisy", "clean"))
    same = narrows.Autoencoder(max_epochs=8, random_state=0).fit(noisy, clean)
    assert np.array_equal(model.transform(noisy), same.transform(noisy))


def test_pairs_of_tables_go_by_the_names_of_their_columns(run, home):
    noisy = tables.read("noisy.csv").values
    clean = tables.read("clean.csv").values[:, ::-1]
    same = narrows.Autoencoder(max_epochs=8, random_state=0).fit(noisy, np.ascontiguousarray(clean))
    assert narrows.load("table.narrows").baselines_ == same.baselines_


def test_patches(run, tmp_path):
    said = run(
        "fit", "photos", "--patches", "9", "-o", tmp_path / "m.narrows", "--max-epochs", "1", "--n-components", "8"
    )
    assert "10,000 rows of 81 columns, images of 9 x 9 pixels" in said.out


def test_encode_score_and_reconstruct_take_a_folder(run, tmp_path):
    model = narrows.load("digits.narrows")
    noisy = datasets.image_folder("noisy").images
    run("encode", "noisy", "-m", "digits.narrows", "-o", tmp_path / "codes.npy")
    assert np.array_equal(np.load(tmp_path / "codes.npy"), model.transform(noisy))
    worst = json.loads(run("score", "noisy", "-m", "digits.narrows", "--json").out)["worst"][0]
    assert worst["row"] == int(model.reconstruction_error(noisy).argmax())
    assert worst["file"] == f"{worst['row']:05d}.png"
    run("reconstruct", "noisy", "-m", "digits.narrows", "-o", tmp_path / "rebuilt")
    rebuilt = datasets.image_folder(tmp_path / "rebuilt")
    assert rebuilt.names == tuple(f"{k:05d}.png" for k in range(300))
    assert np.array_equal(rebuilt.images, np.rint(model.reconstruct(noisy)).clip(0, 255))
    run("reconstruct", "noisy", "-m", "digits.narrows", "-o", tmp_path / "rebuilt.csv")
    assert tables.read(tmp_path / "rebuilt.csv").values.shape == (300, 64)
    run("decode", tmp_path / "codes.npy", "-m", "digits.narrows", "-o", tmp_path / "decoded.csv")
    assert tables.read(tmp_path / "decoded.csv").values.shape == (300, 64)


def test_floats_become_a_folder_of_tiff_files(run, tmp_path):
    np.save(tmp_path / "x.npy", datasets.image_folder("noisy").images[:5] / np.float32(7))
    run("reconstruct", tmp_path / "x.npy", "-m", "digits.narrows", "-o", tmp_path / "out")
    found = datasets.image_folder(tmp_path / "out")
    assert found.names[0] == "00000.tif"
    assert found.images.dtype == np.float32


def test_a_big_folder_is_streamed(run, tmp_path, monkeypatch):
    run("fit", "clean", "-o", tmp_path / "whole.narrows", *QUICK)
    monkeypatch.setattr("narrows.cli.files.STREAM_BYTES", 1000)
    from narrows.cli.files import read_data

    assert read_data("clean").rows.name == "clean"
    run("fit", "clean", "-o", tmp_path / "m.narrows", *QUICK)
    assert narrows.load(tmp_path / "m.narrows").image_shape_ == (8, 8, 1)
    run("reconstruct", "clean", "-m", tmp_path / "m.narrows", "-o", tmp_path / "out")
    assert datasets.image_folder(tmp_path / "out").images.shape == (300, 8, 8)
    run("denoise", "noisy.csv", "-m", "table.narrows", "-o", tmp_path / "out.csv", "--clean", "clean.csv")


def test_a_named_set_is_images_to_a_network_for_them(run, tmp_path):
    run("fit", "digits", "--network", "convolutional", "-o", tmp_path / "m.narrows", "--max-epochs", "1", "-q")
    assert narrows.load(tmp_path / "m.narrows").image_shape_ == (8, 8, 1)


# Mistakes


@pytest.fixture(scope="module")
def crooked(home):
    """Things that will not do."""
    grey = np.arange(32 * 50, dtype=np.uint8).reshape(32, 50)
    (home / "text.png").write_text("no image")
    (home / "none.png").write_bytes(b"")
    (home / "cut.png").write_bytes((home / "grainy" / "a.png").read_bytes()[:200])
    (home / "empty").mkdir()
    (home / "inner" / "deeper").mkdir(parents=True)
    tables.write_images(home / "mixed", [grey, grey[:20]])
    tables.write_images(home / "colours", [grey, np.stack([grey] * 3, -1)])
    tables.write_images(home / "twins", [grey, grey], names=["a.jpg", "a.png"])
    tables.write_images(home / "few", [grey], names=["a.png"])
    tables.write_images(home / "small", [grey[:5, :5]] * 3, names=["a.png", "b.png", "c.png"])
    tables.write_image(home / "float.tif", grey / 255)
    tables.write_image(home / "deep.png", grey.astype(np.uint16))
    tables.write(home / "short.csv", np.ones((3, 64)))
    tables.write(home / "wide.npy", np.ones((3, 4, 16)))
    return home


PHOTO, TABLE, DIGITS = "-m photos.narrows -o out", "-m table.narrows -o out", "-m digits.narrows -o out"
MISTAKES = [
    (f"denoise grainy/a.png {PHOTO}", "so OUT must be one too"),
    (f"denoise grainy/a.png {PHOTO}.gif", "so OUT must be one too"),
    (f"denoise grainy/a.png {PHOTO}.csv", "so OUT must be one too"),
    ("denoise grainy/a.png -m photos.narrows -o grainy/a.png", "would be replaced"),
    ("denoise grainy/a.png -m photos.narrows -o nowhere/a.png", "does not exist"),
    (f"denoise nowhere.png {PHOTO}.png", "nowhere.png does not exist"),
    (f"denoise text.png {PHOTO}.png", "text.png is damaged or no image"),
    (f"denoise none.png {PHOTO}.png", "none.png is empty"),
    (f"denoise cut.png {PHOTO}.png", "cut.png is damaged"),
    (f"denoise float.tif {PHOTO}.png", "holds floats"),
    (f"denoise deep.png {PHOTO}.jpg", "16 bits"),
    (f"denoise grainy/a.png {PHOTO}.png --tile 0", "--tile"),
    (f"denoise grainy/a.png {PHOTO}.png --clean photos/b.png", "the same size and colours"),
    (f"denoise grainy/a.png {PHOTO}.png --clean deep.png", "the same type"),
    (f"denoise grainy/a.png {PHOTO}.png --clean photos", "is a folder"),
    (f"denoise grainy/a.png {DIGITS}.png", "grainy/a.png: the picture is 32 x 50 pixels, but"),
    (f"denoise grainy/a.png {TABLE}.png", "not fitted to images"),
    ("denoise grainy/a.png -m nowhere.narrows -o out.png", "nowhere.narrows"),
    (f"denoise empty {PHOTO}", "has no images in it"),
    (f"denoise inner {PHOTO}", "'deeper', are not looked into"),
    (f"denoise twins {PHOTO}", "a.jpg and a.png would both be written as a.png"),
    ("denoise grainy -m photos.narrows -o photos", "photos is not empty"),
    ("denoise grainy -m photos.narrows -o text.png", "is a file"),
    ("denoise grainy -m photos.narrows -o nowhere/out", "does not exist"),
    (f"denoise grainy {PHOTO} --clean few", "few has no clean version of b.tif (and 1 more)"),
    (f"denoise grainy {PHOTO} --clean twins", "two images of one name"),
    (f"denoise grainy {PHOTO} --clean small", "the same size"),
    (f"denoise grainy {PHOTO} --clean photos/a.png", "not a folder"),
    (f"denoise grainy {DIGITS}", "grainy/a.png: the picture"),
    (f"denoise noisy.csv {TABLE}.csv --tile 9", "--tile is for images"),
    (f"denoise noisy.csv {TABLE}.csv --clean photos", "must be one too"),
    (f"denoise noisy.csv {TABLE}.csv --clean short.csv", "the same rows"),
    (f"denoise noisy.csv {TABLE}.png", "does not write"),
    (f"denoise noisy.csv {TABLE}", "does not write"),
    ("fit grainy/a.png -o m.narrows", "is one image, not rows"),
    ("fit mixed -o m.narrows", "images that are rows must be alike"),
    ("fit colours -o m.narrows", "color="),
    ("fit photos -o m.narrows --columns 1,2", "neither columns nor arrays"),
    ("fit photos -o m.narrows --patches 16 --stream", "do not go together"),
    ("fit photos -o m.narrows --patches 16 --columns 1", "do not go together"),
    ("fit photos -o m.narrows --patches 600", "No image is as large"),
    ("fit photos -o m.narrows --patches 0", "--patches"),
    ("fit noisy.csv -o m.narrows --patches 16", "--patches is for folders"),
    ("fit noisy.csv -o m.narrows --clean photos", "must both be folders"),
    ("fit noisy.csv -o m.narrows --clean short.csv", "3 rows of 64 values"),
    ("fit noisy.csv -o m.narrows --clean clean.csv --stream", "do not go together"),
    ("fit noisy.csv -o m.narrows --clean nowhere.csv", "nowhere.csv does not exist"),
    ("fit noisy -o m.narrows --clean few", "no clean version"),
    ("fit grainy -o m.narrows --clean small --patches 4", "the same size"),
    (f"encode mixed {DIGITS}.csv", "images that are rows must be alike"),
    (f"encode small {DIGITS}.csv", "images of 5 x 5 pixels, but the model was fitted to images of 8 x 8"),
    (f"encode wide.npy {DIGITS}.csv", "images of 16 x 4 pixels"),
    ("reconstruct noisy -m digits.narrows -o photos", "photos is not empty"),
    (f"reconstruct noisy {TABLE}", "so it would be a folder of images"),
    ("reconstruct noisy -m digits.narrows -o nowhere/out", "does not exist"),
]


@pytest.mark.parametrize(("line", "expected"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_line_and_leaves_nothing(crooked, monkeypatch, capsys, line, expected):
    monkeypatch.chdir(crooked)
    before = {file: file.stat().st_mtime_ns for file in crooked.rglob("*")}
    code = main(line.split())
    printed = capsys.readouterr()
    assert code == 2, printed
    assert printed.out == ""
    [message] = printed.err.splitlines()
    assert message.startswith("narrows: ")
    assert {file: file.stat().st_mtime_ns for file in crooked.rglob("*") if file in before} == before
    assert set(crooked.rglob("*")) == set(before)


def test_ctrl_c_leaves_no_half_folder(home, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(home)
    from narrows.estimator import tiled_inference as tiles

    clean, calls = tiles.denoise_image, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return clean(*arguments)

    monkeypatch.setattr(tiles, "denoise_image", interrupted)
    assert main(["denoise", "grainy", "-m", "photos.narrows", "-o", str(tmp_path / "out")]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_pixels_is_told_its_shape(run, capsys, tmp_path):
    out = tmp_path / "shaped.narrows"
    network = "convolutional(channels=(4,),blocks=1)"
    fit = ["fit", "clean.csv", "-o", str(out), "--n-components", "4", "--network", network, *QUICK]
    run(*fit, "--image-shape", "8,8")
    assert narrows.load(out).image_shape_ == (8, 8, 1)
    assert "image_shape=8,8" in run("info", out).out
    for wrong, words in (("8,9", "64"), ("8x8", "whole numbers such as 28,28"), ("", "image")):
        capsys.readouterr()
        assert main([*fit, "--image-shape", wrong]) != 0, wrong
        assert words in capsys.readouterr().err, wrong
