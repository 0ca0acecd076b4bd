"""``narrows compress``, ``decompress`` and ``codec verify``."""

import re
import time
from pathlib import Path
from typing import Any

import typer

from narrows.cli import files
from narrows.cli.codec.files import load_codec, raw_bytes_of, read_to_code, write_restored
from narrows.cli.errors import CommandError
from narrows.cli.printing import note, print_record, working
from narrows.errors import CodecFileError
from narrows.io.atomic import atomic_write

_DAMAGED = 1
"""The exit code of ``verify`` for a file that is not whole."""


def compress(data: str, model: Path, out: Path, columns: str | None, *, as_json: bool) -> None:
    """Compress, and say how small and how quick."""
    place = files.file_of(data)
    files.check_model_place(out, place, model, ending="nrw")
    codec = load_codec(model)
    given = read_to_code(data, columns)
    start = time.perf_counter()
    with working("compressing"):
        if isinstance(given, Path):
            codec.compress_file(given, out)
        else:
            with atomic_write(out) as temporary, temporary.open("wb") as file:
                codec.compress_to([given], file)
    seconds = time.perf_counter() - start
    record = codec.describe(out)
    raw = raw_bytes_of(record)
    record |= {"raw_bytes": raw, "seconds": seconds, "file": out, "codec": model}
    if raw:
        record |= {"ratio": raw / record["n_bytes"], "megabytes_per_second": raw / 1e6 / max(seconds, 1e-9)}
    if place is not None and place.is_file():
        record["in_bytes"] = place.stat().st_size
    print_record(record, as_json=as_json)


def decompress(data: Path, model: Path, out: Path, rows: str | None, *, skip_damaged: bool, as_json: bool) -> None:
    """Restore a file, or some rows of it."""
    wanted = None if rows is None else _slice(rows)
    files.check_table_place(out, data, model)
    codec = load_codec(model)
    record = codec.describe(data)
    start = time.perf_counter()
    with working("restoring"):
        restored = _restore(codec, data, out, wanted, record, skip=skip_damaged)
    seconds, n_rows = time.perf_counter() - start, record["n_rows"]
    print_record({"rows": restored, "of_rows": n_rows, "seconds": seconds, "file": out}, as_json=as_json)


def _slice(text: str) -> slice:
    found = re.fullmatch(r"\s*(-?\d+)?\s*(?:(:)\s*(-?\d+)?\s*)?", text)
    if found is None or not text.strip() or max(map(len, re.findall(r"\d+", text)), default=0) > 15:
        raise CommandError(f"--rows must be a row or FROM:TO, such as 100:200 or :10, got {text!r}.")
    first, colon, last = found.groups()
    if not colon:
        return slice(int(first), int(first) + 1 or None)
    return slice(None if first is None else int(first), None if last is None else int(last))


def _restore(codec: Any, data: Path, out: Path, wanted: slice | None, record: dict[str, Any], *, skip: bool) -> int:
    """Restore a file, or some rows of it; return how many rows were written."""
    n_rows: int = record["n_rows"]
    if wanted is not None and n_rows and not range(n_rows)[wanted]:
        raise CommandError(f"--rows takes none of the rows of {data}, which are 0 to {n_rows - 1:,}.")
    if wanted is None and not skip:
        codec.decompress_file(data, out)
        return n_rows
    found = codec.decompress(data, rows=wanted, on_damage="skip" if skip else "raise")
    write_restored(out, found, record["columns"])
    return len(next(iter(found.values()))) if isinstance(found, dict) else len(found)


def verify(data: Path, model: Path, *, as_json: bool) -> None:
    """Restore a file without writing it, and name what is damaged."""
    codec = load_codec(model)
    record = codec.describe(data)
    start = time.perf_counter()
    lost: list[tuple[int, int]] = []
    try:
        with working("verifying"):
            codec.verify(data)
    except CodecFileError as error:
        if not error.lost:
            raise
        lost = error.lost
    size = record["rows_per_block"]
    told = {
        "file": data,
        "whole": not lost,
        "rows": record["n_rows"],
        "blocks": record["n_blocks"],
        "damaged": [{"block": first // size, "first_row": first, "last_row": last - 1} for first, last in lost],
        "seconds": time.perf_counter() - start,
    }
    print_record(told, as_json=as_json)
    if lost:
        note(f"narrows: {data} is damaged.")
        raise typer.Exit(_DAMAGED)
