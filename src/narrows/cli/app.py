"""The app: its verbs, and what happens when something goes wrong."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from narrows.cli.errors import (
    INTERRUPTED,
    REFUSED,
    UNREAD,
    Terminated,
    exit_code_of,
    give_up_output,
    terminated_politely,
    warnings_as_lines,
)
from narrows.cli.lab import lab
from narrows.cli.printing import note, one_line
from narrows.cli.verbs import CODEC_HELP, CODEC_VERBS, VERBS

# What typer raises for a command line that does not parse. Its home differs between versions of typer.
_ClickException: Any = typer.BadParameter.__mro__[2]

_PLAIN: dict[str, Any] = {
    "add_completion": False,
    # Plain help: rich would take as long to import as all the rest, and cuts long flags short.
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}

app = typer.Typer(
    name="narrows",
    help="Autoencoders for people with data, each held against the simple answer.",
    epilog="DATA is a file (csv, tsv, parquet, npy, npz, idx), a folder of images (png, jpg, tif) "
    "or a named data set: digits, digits:test, ... RATINGS is a csv, tsv or Parquet log of users and items, or "
    "movielens-small.",
    pretty_exceptions_enable=False,
    **_PLAIN,
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


for _name, _verb in VERBS.items():
    app.command(_name)(_verb.command())
app.command("lab")(lab)
_codec = typer.Typer(help=CODEC_HELP, **_PLAIN)
for _name, _verb in CODEC_VERBS.items():
    _codec.command(_name)(_verb.command())
app.add_typer(_codec, name="codec")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code; see :func:`narrows.cli.main`."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if given == ["codec"]:
        given.append("--help")
    if sys.stdout is None:
        # It was closed when narrows started; what a verb writes to files is wanted all the same.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    try:
        with terminated_politely(), warnings_as_lines():
            result = typer.main.get_command(app).main(given, prog_name="narrows", standalone_mode=False)
            sys.stdout.flush()
    except _ClickException as error:
        text = one_line(error.format_message()).rstrip(".")
        end = "" if text.endswith("?") else "."
        note(f"narrows: {text}{end} See {' '.join(['narrows', *_verb_of(given)])} --help.")
        return REFUSED
    except (typer.Abort, KeyboardInterrupt):
        result = INTERRUPTED
    except Terminated as error:
        note("narrows: terminated; nothing was written.")
        return int(str(error.code))
    except (BrokenPipeError, SystemExit):
        # The reader has gone, as in `narrows score ... | head`; typer makes an exit of that.
        give_up_output()
        return UNREAD
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user
        return exit_code_of(error)
    # Versions of typer differ in whether Ctrl-C is raised or returned.
    if result == INTERRUPTED:
        note("narrows: interrupted; nothing was written.")
    return result if isinstance(result, int) else 0


def _verb_of(given: Sequence[str]) -> list[str]:
    """Return the words of a command line that are a verb, of a group two; none if there is no such verb."""
    words = [word for word in given if not word.startswith("-")][:2]
    if words[:1] == ["codec"]:
        return words if words[-1] in CODEC_VERBS else words[:1]
    return words[:1] if words and words[0] in (*VERBS, "lab") else []
