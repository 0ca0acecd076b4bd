"""What is said of a codec when it has been fitted and later, and of a compressed file."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from narrows.cli.codec_files import bytes_in_words, data_in_words, is_compressed, raw_bytes_of
from narrows.cli.codec_fit import HOME
from narrows.cli.show import file_size, print_json, print_rows, print_table
from narrows.cli.signature import parameters
from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["in_words", "info", "show_codec", "show_summary", "summary_of"]

_COLUMNS_SHOWN = 8
# What does not change the codec.
_SILENT = {"callbacks", "n_jobs"}
_LIBRARIES = {
    "zstd -19": "zstandard",
    "brotli -11": "brotli",
    "Parquet zstd": "pyarrow",
    "WebP": "pillow",
    "JPEG XL": "pillow-jxl-plugin",
}
"""What has to be installed for a general compressor to be tried."""
_MODULES = {"pillow": "PIL", "pillow-jxl-plugin": "pillow_jxl"}


def summary_of(codec: Any, seconds: float, out: Path) -> dict[str, Any]:
    """Return what is to be said of a codec that was fitted, and saved."""
    record = {
        "kind": codec.kind_,
        "image_shape": codec.image_shape_,
        "columns": codec.n_features_in_,
        "bits_per_value": codec.bits_per_value_,
        "raw_bits_per_value": codec.raw_bits_per_value_,
        "peers": codec.peers_,
        "n_held_out": codec.n_held_out_,
        "model_bytes": out.stat().st_size,
        "rows_to_pay": codec.rows_to_pay_,
        "rate_distortion": codec.rate_distortion_,
    }
    return {
        "codec": str(out),
        "fingerprint": codec.fingerprint_,
        **record,
        "in_words": in_words(record),
        "seconds": seconds,
    }


def show_summary(told: dict[str, Any]) -> None:
    """Print such a summary."""
    print_rows(
        [
            ("data", _data(told)),
            *_worth(told),
            ("time", f"{told['seconds']:.1f} s"),
            ("file", told["codec"]),
        ]
    )
    _show_measures(told)


def info(file: Path, plot: Path | None, *, as_json: bool) -> None:
    """Say what a codec or a compressed file is."""
    if is_compressed(file):
        if plot is not None:
            raise CommandError(f"--plot is for codecs, and {file} is a compressed file.")
        _show_compressed(file, as_json=as_json)
        return
    import narrows

    record = narrows.describe(file)
    if record["class"] != "Codec":
        raise CommandError(f"{file} holds the model class {record['class']}, which is no codec: see narrows info.")
    if plot is not None:
        _plot(file, record["fitted"]["rate_distortion"], plot)
    if as_json:
        print_json({"file": str(file), "bytes": file.stat().st_size, **_told(file, record)})
        return
    show_codec(file, record)


def _told(file: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Return a codec's description with what is derived from it."""
    fitted = record["fitted"]
    told = fitted | {
        "kind": record["engine"]["kind"],
        "columns": fitted["n_features_in"],
        "model_bytes": file.stat().st_size,
    }
    told |= {"fingerprint": _fingerprint(file), "options": record["options"], "narrows": record["narrows"]}
    return told | {"in_words": in_words(told)}


def _fingerprint(file: Path) -> str | None:
    """Return what compressed files call a codec; it takes the library that codes to tell."""
    from narrows.cli.files import load_model
    from narrows.errors import NarrowsError

    try:
        return str(load_model(file, "cpu").fingerprint_)
    except NarrowsError:
        return None


def show_codec(file: Path, record: dict[str, Any]) -> None:
    """Print what a codec's file says of itself."""
    told = _told(file, record)
    print_rows(
        [
            ("file", f"{file}, {file_size(file)}, written by narrows {record['narrows']}"),
            ("class", "Codec, which makes data like that of its fit small: narrows compress puts it to use"),
            ("data", _data(told)),
            ("options", _options(record["options"])),
            *_worth(told),
            *([("fingerprint", told["fingerprint"])] if told["fingerprint"] else []),
        ]
    )
    _show_measures(told)


def _show_compressed(file: Path, *, as_json: bool) -> None:
    from narrows.codec import describe

    record = describe(file)
    raw = raw_bytes_of(record)
    if as_json:
        print_json({"file": str(file), "raw_bytes": raw, "ratio": raw / record["n_bytes"] if raw else None, **record})
        return
    names, bits = record["columns"], record["bits_per_value"]
    ratio = f"{raw / record['n_bytes']:.3g} times smaller than the bare values, of {bytes_in_words(raw)}" if raw else ""
    per_value = "" if bits is None else f"{bits:.4g} bits per value"
    print_rows(
        [
            ("file", f"{file}, {file_size(file)}, a compressed file of format {record['format']}"),
            ("data", data_in_words(record)),
            *([("columns", _names(names))] if names else []),
            *([("size", "; ".join(filter(None, [per_value, ratio])))] if per_value else []),
            ("blocks", f"{record['n_blocks']:,}, of up to {record['rows_per_block']:,} rows"),
            ("codec", f"that with the fingerprint {record['fingerprint']}, which is needed to restore it"),
        ]
    )


def _names(names: list[Any]) -> str:
    more = ", ..." if len(names) > _COLUMNS_SHOWN else ""
    return ", ".join(map(str, names[:_COLUMNS_SHOWN])) + more


def _data(told: dict[str, Any]) -> str:
    from narrows.cli.files import shape_in_words

    if told["image_shape"]:
        said = f"pictures of {shape_in_words(told['image_shape'])}"
    else:
        said = f"rows of {told['columns']:,} column{'s' * (told['columns'] != 1)}"
    return said + (", of which the code alone is kept" if told["kind"] == "codes" else "")


def _options(options: dict[str, Any]) -> str:
    defaults = {parameter.name: parameter.default for parameter in parameters(*HOME)}
    changed = {name: value for name, value in options.items() if name not in _SILENT and defaults.get(name) != value}
    return ", ".join(f"{name}={_option(value)}" for name, value in changed.items()) or "all by default"


def _option(value: Any) -> str:
    if isinstance(value, dict) and "columns" in value:
        return " ".join(f"{name}:{error:g}" for name, error in value["columns"])
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


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
    best = _best(told["peers"])
    if best is None:
        return f"{where} no general compressor was there to compare with"
    share = told["bits_per_value"] / told["peers"][best] - 1
    if share < 0:
        return f"{where} the file is {-share:.1%} smaller than that of {best}, the best general compressor"
    return f"{where} the file is {share:.1%} larger than that of {best}: take that, or let the codec learn for longer"


def _best(peers: dict[str, float | None]) -> str | None:
    known = {name: bits for name, bits in peers.items() if bits is not None}
    return min(known, key=lambda name: known[name]) if known else None


def _worth(told: dict[str, Any]) -> list[tuple[str, object]]:
    """Return the rows of a summary that say what a codec is worth."""
    size = f"{told['bits_per_value']:.4g} bits per value, of {told['raw_bits_per_value']:.4g} as it is"
    return [
        ("size", size),
        ("", told["in_words"]),
        ("codec itself", f"{bytes_in_words(told['model_bytes'])}{_pays(told)}"),
    ]


def _pays(told: dict[str, Any]) -> str:
    if told["kind"] == "codes":
        return ""
    rows = told["rows_to_pay"]
    unit = "pictures" if told["image_shape"] else "rows"
    return "; it never pays for itself" if rows is None else f"; it pays for itself after {rows:,} {unit}"


def _show_measures(told: dict[str, Any]) -> None:
    """Print the tables: the general compressors, or size against error."""
    if told["rate_distortion"]:
        _show_rates(told["rate_distortion"])
    if not told["peers"]:
        return
    known = sorted((bits, name) for name, bits in told["peers"].items() if bits is not None)
    rows = [("the codec", f"{told['bits_per_value']:.4g}", "")]
    rows += [(name, f"{bits:.4g}", _share(told["bits_per_value"], bits)) for bits, name in known]
    print()
    print_table(["compressor", "bits per value", "the codec is"], rows, title="on held-out rows")
    left_out = [f"{name} ({_why(name)})" for name, bits in told["peers"].items() if bits is None]
    if left_out:
        print(f"left out: {', '.join(left_out)}")


def _share(own: float, other: float) -> str:
    if not other:
        return ""
    return f"{abs(1 - own / other):.1%} {'smaller' if own < other else 'larger'}"


def _why(name: str) -> str:
    package = _LIBRARIES.get(name, "")
    if package and find_spec(_MODULES.get(package, package)) is None:
        return f"{package} is not installed"
    return "it was not installed, or is not for such data"


def _show_rates(curve: list[dict[str, Any]]) -> None:
    rows = [
        (
            f"{point['step']:.4g}",
            f"{point['bits_per_row']:.1f}",
            f"{point['bits_per_value']:.4f}",
            f"{point['mse']:.5g}",
            f"{point['psnr']:.2f}",
            "chosen" if point["chosen"] else "",
        )
        for point in curve
    ]
    print()
    head = ["step", "bits per row", "bits per value", "squared error", "PSNR (dB)", ""]
    print_table(head, rows, title="size against error, by the step that the code is rounded to")


def _plot(file: Path, curve: list[dict[str, Any]] | None, out: Path) -> None:
    """Draw size against error into a picture."""
    from narrows.cli.files import check_place
    from narrows.io.atomic import atomic_write

    if not curve:
        raise CommandError(f"--plot draws size against error, which {file} has none of: fit it with --code-only.")
    if out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise CommandError(f"--plot {out} must be a .png, .svg or .pdf file.")
    check_place(out, file)
    from narrows.report.rates import plot_rates

    figure = plot_rates(curve)
    with atomic_write(out) as temporary:
        figure.savefig(temporary, format=out.suffix[1:].lower(), dpi=150)
