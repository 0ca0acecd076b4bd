"""Images on the command line: ``narrows denoise``, and folders of images for the other verbs."""

import json

import numpy as np
import pytest

import narrows
import plain_tables as tables
from narrows import datasets
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


def test_an_image(run, home, tmp_path):
    line = ["denoise", "grainy/a.png", "-m", "photos.narrows", "-o", tmp_path / "a.tif", "--clean", "photos/a.png"]
    record = json.loads(run(*line, "--json").out)
    clean, noisy = tables.read_image("photos/a.png"), tables.read_image("grainy/a.png")
    result = tables.read_image(tmp_path / "a.tif")
    assert (result.shape, result.dtype) == (clean.shape, np.uint8)
    expected = np.rint(narrows.load("photos.narrows").denoise_image(noisy)).clip(0, 255)
    assert np.array_equal(result, expected)
    assert record["psnr"] == {"input": psnr(clean, noisy), "output": psnr(clean, result)}
    assert record["ssim"] == {"input": ssim(clean, noisy), "output": ssim(clean, result)}
    assert record["psnr"]["output"] > record["psnr"]["input"] + 5
    assert record["shape"] == [32, 50]


def test_tiles_leave_no_trace(run, tmp_path):
    for name, tile in [("whole.png", []), ("tiles.png", ["--tile", "16"])]:
        run("denoise", "grainy/b.tif", "-m", "photos.narrows", "-o", tmp_path / name, *tile)
    whole, tiles = (tables.read_image(tmp_path / name).astype(int) for name in ("whole.png", "tiles.png"))
    # Sums in another order may round to the other side.
    assert np.abs(whole - tiles).max() <= 1


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
        "psnr"
        in run("denoise", "grainy/c.jpg", "-m", "photos.narrows", "-o", out / "c.jpg", "--clean", "photos/c.png").out
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


def test_a_named_set(run, tmp_path):
    run("denoise", "digits:test", "-m", "digits.narrows", "-o", tmp_path / "out.npy")
    expected = narrows.load("digits.narrows").denoise(datasets.load("digits").test)
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected.reshape(len(expected), -1))


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
    monkeypatch.setattr("narrows.data.inputs.STREAM_BYTES", 1000)
    from narrows.cli.files import read_data

    assert type(read_data("clean").rows).__name__ == "ImageFolder"
    run("fit", "clean", "-o", tmp_path / "m.narrows", *QUICK)
    assert narrows.load(tmp_path / "m.narrows").image_shape_ == (8, 8, 1)
    run("reconstruct", "clean", "-m", tmp_path / "m.narrows", "-o", tmp_path / "out")
    assert datasets.image_folder(tmp_path / "out").images.shape == (300, 8, 8)
    run("denoise", "noisy.csv", "-m", "table.narrows", "-o", tmp_path / "out.csv", "--clean", "clean.csv")


def test_a_named_set_is_images_to_a_network_for_them(run, tmp_path):
    run("fit", "digits", "--network", "convolutional", "-o", tmp_path / "m.narrows", "--max-epochs", "1", "-q")
    assert narrows.load(tmp_path / "m.narrows").image_shape_ == (8, 8, 1)


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


def test_mistakes_are_one_line_and_leave_nothing(crooked, refuse):
    refuse(
        """
        denoise grainy/a.png -m photos.narrows | -o out ~ ; -o out.gif ~ ; -o out.csv ~ ; -o grainy/a.png ~
        denoise grainy/a.png -m photos.narrows | -o nowhere/a.png ~
        denoise nowhere.png -m photos.narrows -o out.png
        denoise text.png -m photos.narrows -o out.png
        denoise none.png -m photos.narrows -o out.png
        denoise cut.png -m photos.narrows -o out.png
        denoise float.tif -m photos.narrows -o out.png ~
        denoise deep.png -m photos.narrows -o out.jpg ~
        denoise grainy/a.png | -m photos.narrows -o out.png --tile 0
        denoise grainy/a.png | -m photos.narrows -o out.png --clean photos/b.png ~
        denoise grainy/a.png | -m photos.narrows -o out.png --clean deep.png ~
        denoise grainy/a.png | -m photos.narrows -o out.png --clean photos ~ ; -m digits.narrows -o out.png
        denoise grainy/a.png | -m table.narrows -o out.png ~ ; -m nowhere.narrows -o out.png
        denoise empty -m photos.narrows -o out ~
        denoise inner -m photos.narrows -o out ~
        denoise twins -m photos.narrows -o out ~
        denoise grainy | -m photos.narrows -o photos ; -m photos.narrows -o text.png ~
        denoise grainy | -m photos.narrows -o nowhere/out ~ ; -m photos.narrows -o out --clean few
        denoise grainy | -m photos.narrows -o out --clean twins ~ ; -m photos.narrows -o out --clean small ~
        denoise grainy | -m photos.narrows -o out --clean photos/a.png ~ ; -m digits.narrows -o out
        denoise noisy.csv -m table.narrows | -o out.csv --tile 9 ; -o out.csv --clean photos ~
        denoise noisy.csv -m table.narrows | -o out.csv --clean short.csv ~ ; -o out.png ~ ; -o out ~
        fit grainy/a.png -o m.narrows ~
        fit mixed -o m.narrows ~
        fit colours -o m.narrows ~
        fit photos -o m.narrows | --columns 1,2 ~ ; --patches 16 --stream ~ ; --patches 16 --columns 1 ~
        fit photos -o m.narrows | --patches 600 ~ ; --patches 0
        fit noisy.csv -o m.narrows | --patches 16 ; --clean photos ~ ; --clean short.csv ~
        fit noisy.csv -o m.narrows | --clean clean.csv --stream ~ ; --clean nowhere.csv
        fit noisy -o m.narrows --clean few ~
        fit grainy -o m.narrows --clean small --patches 4 ~
        encode mixed -m digits.narrows -o out.csv ~
        encode small -m digits.narrows -o out.csv ~
        encode wide.npy -m digits.narrows -o out.csv ~
        reconstruct noisy | -m digits.narrows -o photos ; -m table.narrows -o out ~
        reconstruct noisy | -m digits.narrows -o nowhere/out ~
        """
    )


def test_ctrl_c_leaves_no_half_folder(run, monkeypatch, tmp_path):
    clean, calls = narrows.Autoencoder.denoise_image, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return clean(*arguments, **options)

    monkeypatch.setattr(narrows.Autoencoder, "denoise_image", interrupted)
    run("denoise", "grainy", "-m", "photos.narrows", "-o", tmp_path / "out", code=130)
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_pixels_is_told_its_shape(run, capsys, tmp_path):
    out = tmp_path / "shaped.narrows"
    network = "convolutional(channels=(4,),blocks=1)"
    fit = ["fit", "clean.csv", "-o", str(out), "--n-components", "4", "--network", network, *QUICK]
    run(*fit, "--image-shape", "8,8")
    assert narrows.load(out).image_shape_ == (8, 8, 1)
    for wrong, words in (("8,9", "64"), ("8x8", "whole numbers such as 28,28"), ("", "image")):
        capsys.readouterr()
        assert main([*fit, "--image-shape", wrong]) != 0, wrong
        assert words in capsys.readouterr().err, wrong
