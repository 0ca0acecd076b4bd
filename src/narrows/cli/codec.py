"""The verbs of the codec: ``codec fit``, ``codec info``, ``codec verify``, ``compress`` and ``decompress``."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from narrows.cli import codec_fit
from narrows.cli.arguments import AsJson, Columns  # noqa: TC001 - typer reads them at runtime
from narrows.cli.codec_files import CodecFile  # noqa: TC001 - typer reads it at runtime
from narrows.cli.show import note, print_json, print_rows, print_table
from narrows.cli.values import CommandError

__all__ = ["app", "compress", "decompress", "info", "verify"]

app = typer.Typer(
    help="Fit a codec, which makes data like that of its fit small, and look into codecs and compressed files.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("fit")(codec_fit.command())

_DAMAGED = 1
"""The exit code of ``verify`` for a file that is not whole."""
_SPANS_SAID = 5

Compressed = Annotated[Path, typer.Argument(metavar="FILE", help="What narrows compress wrote.")]


def compress(
    data: Annotated[str, typer.Argument(metavar="IN", help="A file, a folder of images, or a named data set.")],
    model: CodecFile,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT", help="The compressed file to write, usually .nrw.")
    ],
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """Make IN small with a codec that was fitted to data like it.

    IN has the columns of the fit, or pictures of its size. Rows unlike those of the fit take more room, and come back
    all the same. A .csv, .tsv, .parquet or .npy file is read in pieces, however big it is. To restore it, the codec is
    needed: keep it.
    """
    from narrows.cli import codec_files, files
    from narrows.cli.mistakes import mistakes_of, warnings_as_lines

    place = files.file_of(data)
    codec_files.check_compressed_place(out, place, model)
    codec = codec_files.load_codec(model)
    given = codec_files.read_to_code(data, columns)
    start = time.perf_counter()
    with codec_files.working("compressing"), mistakes_of(), warnings_as_lines():
        if isinstance(given, Path):
            codec.compress_file(given, out)
        else:
            _compress_rows(codec, given, out)
    seconds = time.perf_counter() - start
    record = _measured(codec.describe(out), seconds) | {"file": out, "codec": model}
    if place is not None and place.is_file():
        record["in_bytes"] = place.stat().st_size
    if as_json:
        print_json(record)
    else:
        print_rows(_compressed_in_words(record))


def _compress_rows(codec: Any, rows: Any, out: Path) -> None:
    from narrows.io.atomic import atomic_write

    with atomic_write(out) as temporary, temporary.open("wb") as file:
        codec.compress_to([rows], file)


def _measured(record: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Add to a description how small the data became, and how quickly."""
    from narrows.cli.codec_files import raw_bytes_of

    raw = raw_bytes_of(record)
    more: dict[str, Any] = {"raw_bytes": raw, "seconds": seconds}
    if raw:
        more |= {"ratio": raw / record["n_bytes"], "megabytes_per_second": raw / 1e6 / max(seconds, 1e-9)}
    return record | more


def _compressed_in_words(record: dict[str, Any]) -> list[tuple[str, object]]:
    from narrows.cli.codec_files import bytes_in_words, data_in_words

    size, raw, held = record["n_bytes"], record["raw_bytes"], record.get("in_bytes")
    bits = "" if record["bits_per_value"] is None else f", {record['bits_per_value']:.4g} bits per value"
    rows: list[tuple[str, object]] = [("data", data_in_words(record)), ("size", f"{bytes_in_words(size)}{bits}")]
    if raw:
        rows.append(("ratio", f"{_times(raw, size)} than the bare values, which take {bytes_in_words(raw)}"))
    if held is not None:
        rows.append(("", f"{_times(held, size)} than the file that was read, of {bytes_in_words(held)}"))
    speed = f", {record['megabytes_per_second']:.3g} MB/s of bare values" if raw else ""
    return [*rows, ("time", f"{record['seconds']:.1f} s{speed}"), ("file", record["file"])]


def _times(before: float, after: float) -> str:
    return f"{before / after:.3g} times smaller" if before >= after else f"{after / before:.3g} times larger"


def decompress(
    data: Annotated[Path, typer.Argument(metavar="IN", help="What narrows compress wrote.")],
    model: CodecFile,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT", help="The file to write: .npy, .npz, .csv, .tsv or .parquet.")
    ],
    rows: Annotated[
        str | None,
        typer.Option(
            "--rows", metavar="FROM:TO", help="Only these rows, TO not among them; the first is 0, -1 the last."
        ),
    ] = None,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave the rows of damaged blocks out instead of stopping.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Restore what was compressed, with the codec that it was compressed with.

    Of some rows only the blocks that they are in are read. An .npy file keeps the type and the shape of an array;
    tables keep the names of columns.
    """
    from narrows.cli import codec_files, files
    from narrows.cli.mistakes import mistakes_of, warnings_as_lines

    wanted = None if rows is None else _slice(rows)
    files.check_table_place(out, data, model)
    codec = codec_files.load_codec(model)
    record = codec.describe(data)
    start = time.perf_counter()
    with codec_files.working("restoring"), mistakes_of(), warnings_as_lines():
        count = _restore(codec, data, out, wanted, record, skip=skip_damaged)
    seconds = time.perf_counter() - start
    told = {"rows": count, "of_rows": record["n_rows"], "seconds": seconds, "file": out}
    if as_json:
        print_json(told)
        return
    n_rows = record["n_rows"]
    some = "" if count == n_rows else f" of {n_rows:,}"
    print_rows([("rows", f"{count:,}{some}"), ("time", f"{seconds:.1f} s"), ("file", out)])


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
    from narrows.cli.codec_files import write_restored
    from narrows.codec.blocks import MOST_DAMAGED
    from narrows.errors import CodecFileError

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
        more = "" if _all_lost(error, record) else "; --skip-damaged restores the others"
        raise CommandError(f"{data} is damaged, and {_spans(error.lost)} are lost{perhaps}{more}.") from error
    except ModuleNotFoundError as error:
        raise CommandError(
            f'{out} needs {error.name} for such columns, which is not installed: pip install "narrows[frames,files]".'
        ) from error
    write_restored(out, found, record["columns"])
    return len(next(iter(found.values()))) if isinstance(found, dict) else len(found)


def _all_lost(error: Any, record: dict[str, Any]) -> bool:
    return sum(last - first for first, last in error.lost) >= record["n_rows"]


def _spans(lost: list[tuple[int, int]]) -> str:
    said = ", ".join(f"{first:,} to {last - 1:,}" for first, last in lost[:_SPANS_SAID])
    return f"the rows {said}" + (f" and those of {len(lost) - _SPANS_SAID:,} more blocks" * (len(lost) > _SPANS_SAID))


@app.command("info")
def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A codec, or a compressed file.")],
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="OUT.png", help="Draw size against error, of a codec with --code-only."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a codec is worth, or what is in a compressed file.

    Of a codec its bits per value on held-out rows against general compressors, its own size, and after how many rows
    it pays; with --code-only what the error would be at other sizes. Of a compressed file, for which the codec is not
    needed, what it holds and how small it is.
    """
    from narrows.cli import codec_info

    codec_info.info(file, plot, as_json=as_json)


@app.command("verify")
def verify(data: Compressed, model: CodecFile, as_json: AsJson = False) -> None:
    """Restore all of FILE without writing it, and compare every checksum.

    Names each damaged block and its rows. The exit code is 0 if the file is whole, 1 if blocks are damaged, and 2 if
    it cannot be read at all: truncated, foreign, or made with another codec.
    """
    from narrows.cli import codec_files
    from narrows.cli.mistakes import mistakes_of
    from narrows.errors import CodecFileError

    codec = codec_files.load_codec(model)
    record = codec.describe(data)
    start = time.perf_counter()
    lost: list[tuple[int, int]] = []
    try:
        with codec_files.working("verifying"), mistakes_of():
            codec.verify(data)
    except CodecFileError as error:
        if not error.lost:
            raise
        lost = error.lost
    told = {
        "file": data,
        "whole": not lost,
        "rows": record["n_rows"],
        "blocks": record["n_blocks"],
        "damaged": [
            {"block": first // record["rows_per_block"], "first_row": first, "last_row": last - 1}
            for first, last in lost
        ],
        "seconds": time.perf_counter() - start,
    }
    if as_json:
        print_json(told)
    else:
        _show_verified(told, codec_files.data_in_words(record))
    if lost:
        note(f"narrows: {data} is damaged.")
        raise typer.Exit(_DAMAGED)


def _show_verified(told: dict[str, Any], what: str) -> None:
    blocks, damaged = told["blocks"], told["damaged"]
    rows = sum(span["last_row"] - span["first_row"] + 1 for span in damaged)
    state = f"{len(damaged):,} of {blocks:,} damaged, with {rows:,} rows" if damaged else f"{blocks:,}, all whole"
    print_rows([("file", told["file"]), ("data", what), ("blocks", state), ("time", f"{told['seconds']:.1f} s")])
    if damaged:
        print_table(
            ["block", "first row", "last row"],
            [(span["block"], span["first_row"], span["last_row"]) for span in damaged],
            title="damaged (the first block and the first row are 0)",
        )
