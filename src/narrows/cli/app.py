"""The app: its verbs, and what happens when something goes wrong."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli import anomalies, apply, codec, compare, data, denoise, evaluate, fit, generate, info, lab, recommend
from narrows.cli.show import note, one_line
from narrows.errors import NarrowsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "run"]

# What typer raises for a command line that does not parse. Its home differs between versions of typer.
_ClickException: Any = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="narrows",
    help="Autoencoders for people with data, each held against the simple answer.",
    epilog="DATA is a file (csv, tsv, parquet, npy, npz, idx), a folder of images (png, jpg, tif) "
    "or a named data set: digits, digits:test, ... RATINGS is a csv, tsv or Parquet log of users and items, or "
    "movielens-small.",
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: rich would take as long to import as all the rest, and cuts long flags short.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from narrows._version import __version__

        print(f"narrows {__version__}")
        raise typer.Exit


@app.callback()
def _everything(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command("fit")(fit.command())
app.command("encode")(apply.encode)
app.command("decode")(apply.decode)
app.command("reconstruct")(apply.reconstruct)
app.command("denoise")(denoise.denoise)
app.command("score")(apply.score)
app.command("anomalies")(anomalies.anomalies)
app.command("recommend")(recommend.recommend)
app.command("evaluate")(evaluate.evaluate)
app.command("sample")(generate.sample)
app.command("interpolate")(generate.interpolate)
app.command("compare")(compare.compare)
app.command("compress")(codec.compress)
app.command("decompress")(codec.decompress)
app.add_typer(codec.app, name="codec")
app.command("info")(info.info)
app.command("datasets")(data.datasets)
app.command("lab")(lab.lab)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code; see :func:`narrows.cli.main`."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if given == ["codec"]:
        given.append("--help")
    command = typer.main.get_command(app)
    try:
        result = command.main(given, prog_name="narrows", standalone_mode=False)
        sys.stdout.flush()
    except NarrowsError as error:
        return _refuse(error)
    except _ClickException as error:
        text = one_line(error.format_message()).rstrip(".")
        end = "" if text.endswith("?") else "."
        return _refuse(f"{text}{end} See {' '.join(['narrows', *_verb(given)])} --help.")
    except (typer.Abort, KeyboardInterrupt):
        result = 130
    except BrokenPipeError:
        # The reader has gone, as in `narrows score ... | head`. What is still buffered must not raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    # Versions of typer differ in whether Ctrl-C is raised or returned.
    if result == 130:
        note("narrows: interrupted; nothing was written.")
    return result if isinstance(result, int) else 0


def _verb(given: Sequence[str]) -> list[str]:
    """Return the words of a command line that are a verb, of a group two; none if there is no such verb."""
    words = [word for word in given if not word.startswith("-")][:2]
    inner = {command.name for command in codec.app.registered_commands}
    if words[:1] == ["codec"]:
        return words if words[-1] in inner else words[:1]
    return words[:1] if words and words[0] in {command.name for command in app.registered_commands} else []


def _refuse(error: object) -> int:
    # The sentence of the library, in the words of the command line.
    note(f"narrows: {error}".replace("columns=[...]", "--columns A,B"))
    return 2
