"""What is said of a codec when it has been fitted and later, and of a compressed file."""

from pathlib import Path
from typing import Any

import narrows
from narrows.cli.codec.files import is_compressed, raw_bytes_of
from narrows.cli.describe import describe_changed
from narrows.cli.errors import CommandError
from narrows.cli.files import check_pages
from narrows.cli.printing import print_record
from narrows.errors import NarrowsError
from narrows.io.atomic import atomic_write


def info(file: Path, plot: Path | None, *, as_json: bool) -> None:
    """Say what a codec or a compressed file is."""
    head = {"file": str(file), "bytes": file.stat().st_size} if file.is_file() else {}
    if is_compressed(file):
        if plot is not None:
            raise CommandError(f"--plot is for codecs, and {file} is a compressed file.")
        record = narrows.codec.describe(file)
        raw = raw_bytes_of(record)
        ratio = {"raw_bytes": raw, "ratio": raw / record["n_bytes"] if raw else None}
        print_record(head | ratio | record, as_json=as_json)
        return
    record = narrows.describe(file)
    if record["class"] != "Codec":
        raise CommandError(f"{file} holds the model class {record['class']}, which is no codec: see narrows info.")
    if plot is not None:
        _plot(file, record["fitted"]["rate_distortion"], plot)
    about = {"narrows": record["narrows"], "options": record["options"] if as_json else describe_changed(record)}
    print_record(head | about | summary_of_codec(file, record), as_json=as_json)


def summary_of_codec(file: Path, record: dict[str, Any], fingerprint: str | None = None) -> dict[str, Any]:
    """Return what is to be said of a codec's file, of which ``narrows.describe`` gave the record."""
    if fingerprint is None:
        try:
            # What compressed files call a codec takes the library that codes to tell.
            fingerprint = str(narrows.load(file, device="cpu").fingerprint_)
        except NarrowsError:
            fingerprint = None
    fitted = record["fitted"]
    names = ("image_shape", "bits_per_value", "raw_bits_per_value", "peers", "n_held_out", "rows_to_pay")
    told = {"kind": record["engine"]["kind"], "columns": fitted["n_features_in"]}
    told |= {name: fitted[name] for name in (*names, "rate_distortion")}
    told |= {"model_bytes": file.stat().st_size, "fingerprint": fingerprint}
    return told | {"in_words": in_words(told)}


def in_words(told: dict[str, Any]) -> str:
    """Say in one sentence how small a codec makes held-out rows.

    Examples
    --------
    >>> told = {"kind": "table", "bits_per_value": 1.2, "peers": {"xz -9e": 1.5, "JPEG XL": None}, "n_held_out": 100}
    >>> in_words(told | {"rows_to_pay": 80})
    'On 100 held-out rows the file is 20.0% smaller than that of xz -9e; the codec pays for itself after 80 rows'
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
    more, rows = told["bits_per_value"] / known[best] - 1, told["rows_to_pay"]
    pays = "never pays for itself" if rows is None else f"pays for itself after {rows:,} rows"
    if more < 0:
        return f"{where} the file is {-more:.1%} smaller than that of {best}; the codec {pays}"
    return f"{where} the file is {more:.1%} larger than that of {best}: take that, or let the codec learn for longer"


def _plot(file: Path, curve: list[dict[str, Any]] | None, out: Path) -> None:
    """Draw size against error into a picture."""
    if not curve:
        raise CommandError(f"--plot draws size against error, which {file} has none of: fit it with --code-only.")
    check_pages(None, out, file)
    from narrows.report import plot_rates

    figure = plot_rates(curve)
    with atomic_write(out) as temporary:
        figure.savefig(temporary, format=out.suffix[1:].lower(), dpi=150)
