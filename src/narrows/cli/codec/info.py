"""What is said of a codec when it has been fitted and later, and of a compressed file."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import narrows
from narrows.cli.codec.files import describe_data, is_compressed, raw_bytes_of
from narrows.cli.describe import describe_changed
from narrows.cli.errors import CommandError
from narrows.cli.files import check_pages
from narrows.cli.printing import (
    count,
    describe_bytes,
    describe_file,
    describe_shape,
    first_of,
    print_json,
    print_result,
    print_rows,
    print_table,
)
from narrows.errors import NarrowsError
from narrows.io.atomic import atomic_write

if TYPE_CHECKING:
    from pathlib import Path

_COLUMNS_SHOWN = 8
_LIBRARIES = {
    "zstd -19": ("zstandard", "zstandard"),
    "brotli -11": ("brotli", "brotli"),
    "Parquet zstd": ("pyarrow", "pyarrow"),
    "WebP": ("pillow", "PIL"),
    "JPEG XL": ("pillow-jxl-plugin", "pillow_jxl"),
}
"""What has to be installed for a general compressor to be tried: the package, and its module."""


def info(file: Path, plot: Path | None, *, as_json: bool) -> None:
    """Say what a codec or a compressed file is."""
    if is_compressed(file):
        if plot is not None:
            raise CommandError(f"--plot is for codecs, and {file} is a compressed file.")
        _show_compressed(file, as_json=as_json)
        return
    record = narrows.describe(file)
    if record["class"] != "Codec":
        raise CommandError(f"{file} holds the model class {record['class']}, which is no codec: see narrows info.")
    if plot is not None:
        _plot(file, record["fitted"]["rate_distortion"], plot)
    if as_json:
        print_json(summary_of_file(file, record))
    else:
        show_codec(file, record)


def summary_of(codec: Any, seconds: float, out: Path) -> dict[str, Any]:
    """Return what is to be said of a codec that was fitted, and saved."""
    return {"codec": str(out), "seconds": seconds} | _told(narrows.describe(out), out, codec.fingerprint_)


def show_summary(told: dict[str, Any]) -> None:
    """Print such a summary."""
    time = ("time", f"{told['seconds']:.1f} s")
    print_rows([("data", _data(told)), *_worth(told), time, ("file", told["codec"])])
    _show_measures(told)


def summary_of_file(file: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Return a codec's description with what is derived from it."""
    try:
        # What compressed files call a codec takes the library that codes to tell.
        fingerprint = str(narrows.load(file, device="cpu").fingerprint_)
    except NarrowsError:
        fingerprint = None
    told = {"file": str(file), "bytes": file.stat().st_size} | _told(record, file, fingerprint)
    return told | {"options": record["options"], "narrows": record["narrows"]}


def _told(record: dict[str, Any], file: Path, fingerprint: str | None) -> dict[str, Any]:
    fitted = record["fitted"]
    told = fitted | {"kind": record["engine"]["kind"], "columns": fitted["n_features_in"], "fingerprint": fingerprint}
    return told | {"model_bytes": file.stat().st_size, "in_words": in_words(told)}


def show_codec(file: Path, record: dict[str, Any]) -> None:
    """Print what a codec's file says of itself."""
    told = summary_of_file(file, record)
    options = ", ".join(f"{name}={text}" for name, text in describe_changed(record).items())
    print_rows(
        [
            ("file", f"{describe_file(file)}, written by narrows {record['narrows']}"),
            ("class", "Codec, which compresses data like that of its fit: narrows compress puts it to use"),
            ("data", _data(told)),
            ("options", options or "all by default"),
            *_worth(told),
            *([("fingerprint", told["fingerprint"])] if told["fingerprint"] else []),
        ]
    )
    _show_measures(told)


def _show_compressed(file: Path, *, as_json: bool) -> None:
    from narrows.codec import describe

    record = describe(file)
    raw, names, bits = raw_bytes_of(record), record["columns"], record["bits_per_value"]
    ratio = raw / record["n_bytes"] if raw else None
    size = [] if bits is None else [f"{bits:.4g} bits per value"]
    size += [f"{ratio:.3g} times smaller than the bare values, of {describe_bytes(raw)}"] if raw and ratio else []
    rows = [
        ("file", f"{describe_file(file)}, a compressed file of format {record['format']}"),
        ("data", describe_data(record)),
        *([("columns", first_of(names, _COLUMNS_SHOWN))] if names else []),
        *([("size", "; ".join(size))] if size else []),
        ("blocks", f"{record['n_blocks']:,}, of up to {record['rows_per_block']:,} rows"),
        ("codec", f"that with the fingerprint {record['fingerprint']}, which is needed to restore it"),
    ]
    print_result({"file": str(file), "raw_bytes": raw, "ratio": ratio, **record}, rows, as_json=as_json)


def _data(told: dict[str, Any]) -> str:
    shape = told["image_shape"]
    said = f"pictures of {describe_shape(shape)}" if shape else f"rows of {count(told['columns'], 'column')}"
    return said + (", of which the code alone is kept" if told["kind"] == "codes" else "")


# What it is worth


def in_words(told: dict[str, Any]) -> str:
    """Say in one sentence how small a codec makes held-out rows.

    Examples
    --------
    >>> told = {"kind": "table", "bits_per_value": 1.2, "peers": {"xz -9e": 1.5, "JPEG XL": None}, "n_held_out": 100}
    >>> in_words(told)
    'On 100 held-out rows the file is 20.0% smaller than that of xz -9e, the best general compressor'
    """
    where = f"On {told['n_held_out']:,} held-out rows"
    if told["kind"] == "codes":
        point = next((point for point in told["rate_distortion"] or [] if point["chosen"]), None)
        error = "" if point is None else f", with a mean squared error of {point['mse']:.4g} ({point['psnr']:.1f} dB)"
        return f"{where} something like them comes back{error}; general compressors restore them, and are not compared"
    known = {name: bits for name, bits in told["peers"].items() if bits is not None}
    if not known:
        return f"{where} no general compressor was there to compare with"
    best = min(known, key=lambda name: known[name])
    more = told["bits_per_value"] / known[best] - 1
    if more < 0:
        return f"{where} the file is {-more:.1%} smaller than that of {best}, the best general compressor"
    return f"{where} the file is {more:.1%} larger than that of {best}: take that, or let the codec learn for longer"


def _worth(told: dict[str, Any]) -> list[tuple[str, object]]:
    """Return the rows of a summary that say what a codec is worth."""
    size = f"{told['bits_per_value']:.4g} bits per value, of {told['raw_bits_per_value']:.4g} as it is"
    pays, rows = "", told["rows_to_pay"]
    if told["kind"] != "codes":
        unit = "pictures" if told["image_shape"] else "rows"
        pays = "; it never pays for itself" if rows is None else f"; it pays for itself after {rows:,} {unit}"
    return [("size", size), ("", told["in_words"]), ("codec itself", f"{describe_bytes(told['model_bytes'])}{pays}")]


def _show_measures(told: dict[str, Any]) -> None:
    """Print the tables: the general compressors, or size against error."""
    if told["rate_distortion"]:
        _show_rates(told["rate_distortion"])
    if not told["peers"]:
        return
    own = told["bits_per_value"]
    known = sorted((bits, name) for name, bits in told["peers"].items() if bits is not None)
    rows = [("the codec", f"{own:.4g}", "")]
    for bits, name in known:
        ratio = f"{abs(1 - own / bits):.1%} {'smaller' if own < bits else 'larger'}" if bits else ""
        rows.append((name, f"{bits:.4g}", ratio))
    print_table(["compressor", "bits per value", "the codec is"], rows, title="on held-out rows")
    left_out = [f"{name} ({_why(name)})" for name, bits in told["peers"].items() if bits is None]
    if left_out:
        print(f"left out: {', '.join(left_out)}")


def _why(name: str) -> str:
    package, module = _LIBRARIES.get(name, ("", ""))
    if package and find_spec(module) is None:
        return f"{package} is not installed"
    return "it was not installed, or is not for such data"


def _show_rates(curve: list[dict[str, Any]]) -> None:
    forms = {"step": ".4g", "bits_per_row": ".1f", "bits_per_value": ".4f", "mse": ".5g", "psnr": ".2f"}
    rows = [
        [*(f"{point[name]:{form}}" for name, form in forms.items()), "chosen" if point["chosen"] else ""]
        for point in curve
    ]
    head = ["step", "bits per row", "bits per value", "squared error", "PSNR (dB)", ""]
    print_table(head, rows, title="size against error, by the step that the code is rounded to")


def _plot(file: Path, curve: list[dict[str, Any]] | None, out: Path) -> None:
    """Draw size against error into a picture."""
    if not curve:
        raise CommandError(f"--plot draws size against error, which {file} has none of: fit it with --code-only.")
    check_pages(None, out, file)
    from narrows.report.rates import plot_rates

    figure = plot_rates(curve)
    with atomic_write(out) as temporary:
        figure.savefig(temporary, format=out.suffix[1:].lower(), dpi=150)
