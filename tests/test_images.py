"""Image files, folders of them, and patches cut out of photographs."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest

import narrows
import plain_tables as tables
from narrows import datasets
from narrows.data import folders, pictures
from narrows.metrics import psnr

Image = pytest.importorskip("PIL.Image")
tifffile = pytest.importorskip("tifffile")

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
RGB = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (20, 30), dtype=np.uint16)


SMOOTH = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)
DEEP_RGB = np.stack([DEEP] * 3, -1)


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        *((name, pixels) for name in ("a.png", "a.tif", "a.TIFF") for pixels in (GREY, RGB)),
        *(("a.png", DEEP), ("a.tif", DEEP), ("a.tif", DEEP_RGB), ("a.tif", GREY.astype(np.float32) / 7)),
    ],
)
def test_what_is_written_is_read_and_may_be_changed(tmp_path, name, pixels):
    tables.write_image(tmp_path / name, pixels)
    back = tables.read_image(tmp_path / name)
    assert back.dtype == pixels.dtype
    assert back.flags.writeable
    assert np.array_equal(back, pixels)


def test_floats_are_rounded_and_cut_and_jpeg_is_near(tmp_path):
    tables.write_image(tmp_path / "a.png", np.array([[-5.0, 0.6], [254.5, 300.0]]))
    assert tables.read_image(tmp_path / "a.png").tolist() == [[0, 1], [254, 255]]
    tables.write_image(tmp_path / "a.jpg", SMOOTH)
    assert psnr(SMOOTH, tables.read_image(tmp_path / "a.jpg")) > 40


def test_other_modes_become_grey_or_rgb(tmp_path):
    rgba = np.dstack([RGB, np.zeros((20, 30), np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    Image.fromarray(RGB).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(GREY).convert("1").save(tmp_path / "bits.png")
    Image.fromarray(GREY).convert("LA").save(tmp_path / "la.png")
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "cmyk.jpg")
    shapes = {name: tables.read_image(tmp_path / name).shape for name in ("rgba.png", "palette.png", "cmyk.jpg")}
    assert set(shapes.values()) == {(20, 30, 3)}
    assert np.array_equal(tables.read_image(tmp_path / "rgba.png"), RGB)
    assert np.array_equal(tables.read_image(tmp_path / "la.png"), GREY)
    assert set(np.unique(tables.read_image(tmp_path / "bits.png"))) <= {0, 255}


def test_colours_on_demand(tmp_path):
    tables.write_image(tmp_path / "a.png", RGB)
    grey = tables.read_image(tmp_path / "a.png", color="grey")
    assert np.array_equal(grey, np.asarray(Image.fromarray(RGB).convert("L")))
    tables.write_image(tmp_path / "deep.tif", np.full((2, 2, 3), 65535, np.uint16))
    assert (tables.read_image(tmp_path / "deep.tif", color="grey") == 65535).all()
    tables.write_image(tmp_path / "float.tif", np.full((2, 2, 3), 0.25))
    assert tables.read_image(tmp_path / "float.tif", color="grey") == pytest.approx(0.25, abs=1e-6)
    tables.write_image(tmp_path / "b.png", GREY)
    assert np.array_equal(tables.read_image(tmp_path / "b.png", color="rgb")[:, :, 2], GREY)


def _stored(upright, orientation):
    """Return what a camera stores so that a viewer who follows the orientation sees the image upright."""
    ways = [lambda a: a, np.fliplr, lambda a: np.rot90(a, 2), np.flipud]
    ways += [lambda a: a.swapaxes(0, 1), np.rot90, lambda a: np.rot90(a.swapaxes(0, 1), 2), lambda a: np.rot90(a, -1)]
    return np.ascontiguousarray(ways[orientation - 1](upright))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_says_which_way_is_up(tmp_path, orientation):
    picture = Image.fromarray(_stored(RGB, orientation))
    exif = picture.getexif()
    exif[274] = orientation
    picture.save(tmp_path / "a.png", exif=exif)
    picture.save(tmp_path / "a.tif", exif=exif)
    deep = np.stack([DEEP, DEEP // 2, DEEP // 3], -1)
    note = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "deep.tif", _stored(deep, orientation), photometric="rgb", extratags=note)
    for name, expected in [("a.png", RGB), ("a.tif", RGB), ("deep.tif", deep)]:
        assert np.array_equal(tables.read_image(tmp_path / name), expected)
        assert pictures.image_size(tmp_path / name) == (20, 30)


def test_tiff_files_of_other_kinds(tmp_path):
    deep = DEEP_RGB
    tifffile.imwrite(tmp_path / "alpha.tif", np.dstack([deep, DEEP]), photometric="rgb", extrasamples=["unassalpha"])
    tifffile.imwrite(tmp_path / "planes.tif", np.moveaxis(deep, 2, 0), photometric="rgb", planarconfig="separate")
    for name in ("alpha.tif", "planes.tif"):
        assert np.array_equal(tables.read_image(tmp_path / name), deep)
    for kind in ("int16", "int32", "uint32", "float16", "float64"):
        values = RNG.integers(0 if kind[0] == "u" else -99, 99, (4, 5)).astype(kind)
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
        back = tables.read_image(tmp_path / "a.tif")
        assert back.dtype == np.float32
        assert np.array_equal(back, values.astype(np.float32))
    for name, values in [("grey.tif", np.stack([GREY] * 3)), ("deep.tif", np.stack([deep] * 3))]:
        tifffile.imwrite(tmp_path / name, values, photometric="minisblack" if values.ndim == 3 else "rgb")
        with pytest.raises(narrows.DataError):
            tables.read_image(tmp_path / name)


def _is_refused(read, file):
    try:
        read(file)
    except narrows.DataError as error:
        return str(file) in str(error)
    return False


@pytest.mark.parametrize("name", ["a.png", "grey.png", "a.jpg", "a.tif", "deep.tif", "packed.tif", "palette.png"])
def test_damaged_files_are_one_sentence(tmp_path, capfd, name):
    file = tmp_path / name
    if name == "packed.tif":
        Image.fromarray(RGB).save(file, compression="tiff_deflate")
    elif name == "palette.png":
        Image.fromarray(RGB).convert("P").save(file)
    else:
        tables.write_image(file, {"grey.png": GREY, "deep.tif": DEEP_RGB}.get(name, RGB))
    whole = file.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for attempt in range(120):
        spoilt = bytearray(whole)
        if attempt % 2:
            spoilt = spoilt[: rng.integers(1, len(whole))]
        else:
            for place in rng.integers(0, min(len(whole), 300), 4):
                spoilt[place] = rng.integers(256)
        file.write_bytes(spoilt)
        for read in (tables.read_image, pictures.image_size):
            refused += _is_refused(read, file)
    assert refused > 20
    assert capfd.readouterr().out == ""


def test_bombs_are_refused(tmp_path, monkeypatch):
    tables.write_image(tmp_path / "a.png", GREY)
    tables.write_image(tmp_path / "a.tif", DEEP_RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    # Between once and twice the limit Pillow warns, which is no reason to refuse.
    assert tables.read_image(tmp_path / "a.png").shape == (20, 30)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    for name in ("a.png", "a.tif"):
        with pytest.raises(narrows.DataError, match=f"{name} has too many pixels"):
            tables.read_image(tmp_path / name)


def test_without_the_libraries(tmp_path, monkeypatch):
    tables.write_image(tmp_path / "a.png", GREY)
    tables.write_image(tmp_path / "a.tif", DEEP_RGB)
    for library, name in [("tifffile", "a.tif"), ("PIL", "a.png")]:
        monkeypatch.setitem(sys.modules, library, None)
        for use in (tables.read_image, lambda path: tables.write_image(path, DEEP_RGB / 7)):
            with pytest.raises(narrows.DataError, match=r'pip install "narrows\[images\]"'):
                use(tmp_path / name)


def test_no_images(tmp_path):
    tables.write_image(tmp_path / "whole.png", RGB)
    whole = (tmp_path / "whole.png").read_bytes()
    contents = {"text.png": b"no image", "empty.png": b"", "half.png": whole[:400], "text.tif": b"II*\0 nothing"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in (*contents, "none.png"):
        with pytest.raises(narrows.DataError, match=name):
            tables.read_image(tmp_path / name)
    for act in (lambda file: tables.read_image(file, color="blue"), tables.read):
        with pytest.raises(narrows.DataError):
            act(tmp_path / "whole.png")
    for name, pixels in [
        ("a.gif", GREY),
        ("a.png", np.zeros((2, 2, 4))),
        ("a.png", np.zeros((0, 2))),
        ("a.jpg", DEEP),
        ("a.png", DEEP_RGB),
        ("a.png", GREY.astype(np.int64)),
        ("a.png", GREY > 3),
        ("a.jpg", np.zeros((1, 70_000), np.uint8)),
        ("nowhere/a.png", GREY),
    ]:
        with pytest.raises(narrows.DataError):
            tables.write_image(tmp_path / name, pixels)
        assert not (tmp_path / name).exists()


@pytest.fixture
def folder(tmp_path):
    images = RNG.integers(0, 256, (7, 6, 5), dtype=np.uint8)
    tables.write_images(tmp_path / "set", images, names=[f"{k}.png" for k in range(7)])
    return tmp_path / "set", images


def test_a_folder_is_read_in_pieces(folder):
    path, images = folder
    (path / "notes.txt").write_text("not an image")
    segments = folders.ImageFolder(path)
    assert segments.shape == (6, 5)
    assert np.array_equal(segments.images(), images)
    segments._step, segments.segment_rows = 3, [3, 3, 1]
    pieces = [piece for k in range(3) for piece in segments.read(k, 2)]
    assert [len(piece) for piece in pieces] == [2, 1, 2, 1, 1]
    assert np.array_equal(np.concatenate(pieces), images.reshape(7, -1))


def test_memory_for_a_folder_in_pieces_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_SEGMENT_BYTES", 1 << 20)
    tables.write_images(tmp_path / "set", (np.full((512, 512), k, np.uint8) for k in range(40)))
    segments = folders.ImageFolder(tmp_path / "set")
    assert segments.segment_rows == [4] * 10
    tracemalloc.start()
    try:
        means = [mean for k in range(10) for piece in segments.read(k, 100) for mean in piece.mean(1)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert means == list(range(40))
    # A segment, the image that is being read and a copy of it; all images would be 10 MB.
    assert peak < 4 << 20


@pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")
def test_an_estimator_takes_a_folder(tmp_path):
    images = datasets.load("digits").train[:200].reshape(-1, 8, 8) * 15
    tables.write_images(tmp_path / "set", images)
    model = narrows.Autoencoder(2, network="convolutional", max_epochs=1, random_state=0).fit(tmp_path / "set")
    assert model.image_shape_ == (8, 8, 1)
    assert np.array_equal(model.transform(tmp_path / "set"), model.transform(images))


def test_folders_that_will_not_do(folder, tmp_path):
    path, _ = folder
    for odd in (GREY, RGB[:6, :5], DEEP[:6, :5]):
        tables.write_image(path / "z.png", odd)
        with pytest.raises(narrows.DataError, match=r"z\.png"):
            folders.ImageFolder(path).images()
    (path / "z.png").write_bytes(b"\x89PNG")
    empty, inner = tmp_path / "empty", tmp_path / "outer" / "inner"
    empty.mkdir()
    inner.mkdir(parents=True)
    for refused in (path, empty, inner.parent):
        with pytest.raises(narrows.DataError):
            folders.ImageFolder(refused).images()
    new = tmp_path / "new"
    for where, images, names in [
        (path, [GREY], None),
        (new, [GREY, np.zeros(3)], None),
        (new, [], None),
        (new, [GREY], ["a.png", "b.png"]),
        (new, [GREY, GREY], ["a.png"]),
        (new, [GREY, GREY], ["a.png", "a.png"]),
        (new, [GREY], ["../a.png"]),
        (new, [GREY], ["a.gif"]),
        (path / "0.png", [GREY], None),
        (tmp_path / "no" / "new", [GREY], None),
    ]:
        with pytest.raises(narrows.DataError):
            tables.write_images(where, images, names=names)
    assert not new.exists()
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_image_folder_brings_to_one_size(tmp_path):
    for k, shape in enumerate([(20, 30), (40, 25), (16, 16)]):
        tables.write_image(tmp_path / f"{k}.png", np.full(shape, 50 * k, np.uint8))
    found = datasets.image_folder(tmp_path, size=(8, 12))
    assert found.images.shape == (3, 8, 12)
    assert [int(image.mean()) for image in found.images] == [0, 50, 100]
    assert found.names == ("0.png", "1.png", "2.png")
    assert found.shape == (8, 12)
    for bad in [(8,), (0, 4), 8, (8, 2.5), (True, 2)]:
        with pytest.raises(narrows.DataError):
            datasets.image_folder(tmp_path, size=bad)
    with pytest.raises(narrows.DataError):
        datasets.image_folder(tmp_path)


def test_patches_are_parts_of_the_images(tmp_path):
    tables.write_image(tmp_path / "a.png", GREY)
    tables.write_image(tmp_path / "b.png", GREY[::-1, :25])
    found = datasets.image_folder(tmp_path, patches=6, n_patches=300, random_state=1)
    assert found.images.shape == (300, 6, 6)
    places = np.lib.stride_tricks.sliding_window_view(GREY, (6, 6)).reshape(-1, 36)
    known = {place.tobytes() for place in np.ascontiguousarray(places)}
    from_a = [
        patch.tobytes() in known for patch, name in zip(found.images, found.names, strict=True) if name == "a.png"
    ]
    assert all(from_a)
    assert 120 < len(from_a) < 220
    again = datasets.image_folder([tmp_path / "a.png", tmp_path / "b.png"], patches=6, n_patches=300, random_state=1)
    assert np.array_equal(again.images, found.images)
    with pytest.raises(narrows.DataError):
        datasets.image_folder(tmp_path, patches=100)
    with pytest.raises(narrows.DataError):
        datasets.image_folder(tmp_path, patches=5, size=(4, 4))
    tables.write_image(tmp_path / "c.png", RGB)
    with pytest.raises(narrows.DataError):
        datasets.image_folder(tmp_path, patches=6)
    assert datasets.image_folder(tmp_path, patches=6, n_patches=9, color="grey").images.shape == (9, 6, 6)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "rgb"])
def test_every_type_is_resized_alike(tmp_path, kind, channels):
    top = {"uint8": 255, "uint16": 65535, "float32": 1}[kind]
    ramp = np.add.outer(np.arange(40), np.arange(60)) / 98 * top
    pixels = np.stack([ramp] * 3, -1) * (0.5, 0.8, 1.0) if channels else ramp
    tables.write_image(tmp_path / "a.tif", pixels.astype(kind))
    small = datasets.image_folder([tmp_path / "a.tif"], size=(5, 5)).images[0]
    assert small.dtype == kind
    assert small.shape == (5, 5, *channels)
    # The middle 40 x 40 in squares of 8. Smoothing a ramp gives their means, but for what the edges bend.
    squares = pixels[:, 10:50].reshape(5, 8, 5, 8, *channels).mean((1, 3))
    assert small[1:-1, 1:-1] == pytest.approx(squares[1:-1, 1:-1], abs=0.005 * top)


def test_patches_are_as_likely_everywhere(tmp_path):
    ramp = np.arange(12 * 12, dtype=np.uint8).reshape(12, 12)
    tables.write_image(tmp_path / "a.png", ramp)
    tables.write_image(tmp_path / "b.png", ramp[:7, :7])
    tables.write_image(tmp_path / "small.png", ramp[:3, :3])
    found = datasets.image_folder(tmp_path, patches=4, n_patches=9700)
    # 81 places in one, 16 in the other: 100 patches each.
    assert found.names.count("a.png") == pytest.approx(8100, rel=0.03)
    assert "small.png" not in found.names
    corners = found.images[np.array(found.names) == "a.png", 0, 0]
    counts = np.unique(corners, return_counts=True)[1]
    assert len(counts) == 81
    assert ((counts - 100) ** 2 / 100).sum() < 130
    other = datasets.image_folder(tmp_path, patches=4, n_patches=9700, random_state=1)
    assert not np.array_equal(other.images, found.images)
    for options in [{"patches": 0}, {"patches": 4, "n_patches": 0}, {"patches": 2.5}]:
        with pytest.raises(narrows.DataError):
            datasets.image_folder(tmp_path, **options)
