"""``narrows compress``, ``decompress`` and ``codec verify``."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from narrows.cli import files
from narrows.cli.codec.files import describe_data, load_codec, raw_bytes_of, read_to_code, write_restored
from narrows.cli.errors import CommandError
from narrows.cli.printing import count, describe_bytes, note, print_json, print_result, print_rows, print_table, working
from narrows.errors import CodecFileError
from narrows.io.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Sequence

_DAMAGED = 1
"""The exit code of ``verify`` for a file that is not whole."""
_SPANS_SAID = 5


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
    print_result(record, _compressed_rows(record), as_json=as_json)


def _compressed_rows(record: dict[str, Any]) -> list[tuple[str, object]]:
    size, raw, held = record["n_bytes"], record["raw_bytes"], record.get("in_bytes")
    bits = "" if record["bits_per_value"] is None else f", {record['bits_per_value']:.4g} bits per value"
    rows: list[tuple[str, object]] = [("data", describe_data(record)), ("size", f"{describe_bytes(size)}{bits}")]
    if raw:
        rows.append(("ratio", f"{_times(raw, size)} than the bare values, which take {describe_bytes(raw)}"))
    if held is not None:
        rows.append(("", f"{_times(held, size)} than the file that was read, of {describe_bytes(held)}"))
    speed = f", {record['megabytes_per_second']:.3g} MB/s of bare values" if raw else ""
    return [*rows, ("time", f"{record['seconds']:.1f} s{speed}"), ("file", record["file"])]


def _times(before: float, after: float) -> str:
    return f"{before / after:.3g} times smaller" if before >= after else f"{after / before:.3g} times larger"


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
    told = {"rows": restored, "of_rows": n_rows, "seconds": seconds, "file": out}
    some = "" if restored == n_rows else f" of {n_rows:,}"
    said = [("rows", f"{restored:,}{some}"), ("time", f"{seconds:.1f} s"), ("file", out)]
    print_result(told, said, as_json=as_json)


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
    from narrows.codec.blocks import MOST_DAMAGED

    n_rows: int = record["n_rows"]
    if wanted is not None and n_rows and not range(n_rows)[wanted]:
        raise CommandError(f"--rows takes none of the rows of {data}, which are 0 to {n_rows - 1:,}.")
    try:
        if wanted is None and not skip:
            codec.decompress_file(data, out)
            return n_rows
        found = codec.decompress(data, rows=wanted, on_damage="skip" if skip else "raise")
    except CodecFileError as error:
        if not error.lost:
            raise
        # After a few damaged blocks no more are tried.
        perhaps = " (perhaps more: narrows codec verify names all)" if len(error.lost) >= MOST_DAMAGED else ""
        others = sum(last - first for first, last in error.lost) < n_rows
        more = "; --skip-damaged restores the others" if others else ""
        raise CommandError(f"{data} is damaged, and {_spans(error.lost)} are lost{perhaps}{more}.") from error
    except ModuleNotFoundError as error:
        raise CommandError(
            f'{out} needs {error.name} for such columns, which is not installed: pip install "narrows[frames,files]".'
        ) from error
    write_restored(out, found, record["columns"])
    return len(next(iter(found.values()))) if isinstance(found, dict) else len(found)


def _spans(lost: Sequence[tuple[int, int]]) -> str:
    said = ", ".join(f"{first:,} to {last - 1:,}" for first, last in lost[:_SPANS_SAID])
    return f"the rows {said}" + (f" and those of {len(lost) - _SPANS_SAID:,} more blocks" * (len(lost) > _SPANS_SAID))


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
    spans = [(first // record["rows_per_block"], first, last - 1) for first, last in lost]
    told = {
        "file": data,
        "whole": not lost,
        "rows": record["n_rows"],
        "blocks": record["n_blocks"],
        "damaged": [dict(zip(("block", "first_row", "last_row"), span, strict=True)) for span in spans],
        "seconds": time.perf_counter() - start,
    }
    if as_json:
        print_json(told)
    else:
        rows = count(sum(last - first for first, last in lost), "row")
        blocks = f"{record['n_blocks']:,}"
        state = f"{len(lost):,} of {blocks} damaged, with {rows}" if lost else f"{blocks}, all whole"
        time_taken = f"{told['seconds']:.1f} s"
        print_rows([("file", data), ("data", describe_data(record)), ("blocks", state), ("time", time_taken)])
    if lost:
        if not as_json:
            title = "damaged (the first block and the first row are 0)"
            print_table(["block", "first row", "last row"], spans, title=title)
        note(f"narrows: {data} is damaged.")
        raise typer.Exit(_DAMAGED)
