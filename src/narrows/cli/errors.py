"""The one place for what goes wrong: each refusal, warning and fault becomes one line and an exit code."""

import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from narrows.cli.printing import note, one_line
from narrows.errors import ColumnsLeftOutWarning, NarrowsError

REFUSED, FAULT, INTERRUPTED, UNREAD, TERMINATED = 2, 70, 130, 141, 143
"""Exit codes: a mistake in what was asked for, one of ours, Ctrl-C, a reader that has gone, SIGTERM."""

_FLAGS = {
    "columns=[...]": "--columns A,B",
    "kinds= says": "--kinds says",
    "or the column with timestamp=None": "or the column with --timestamp-column none",
    "timestamp=None leaves": "--timestamp-column none leaves",
    "name it in columns=": "name it with --timestamp-column",
    "method='rating'": "--method rating",
    "no rating reaches positive_from=": "no rating reaches --positive-from ",
    'ask for them as rows=, or say on_damage="skip"': "ask for them with --rows, or say --skip-damaged",
}
"""What the library's sentences say in Python, in the words of the command line."""

# What libraries tell developers is not for users.
_NOT_SHOWN = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ResourceWarning)


class CommandError(NarrowsError):
    """Something on the command line that cannot be meant."""


def exit_code_of(error: Exception) -> int:
    """Say in one line what is wrong, and return the exit code.

    Estimators refuse options and data by ValueError and TypeError, as scikit-learn does. What is none of the errors
    that data and machines cause is a fault of narrows, and is called one; ``NARROWS_TRACEBACK=1`` shows where it is.
    """
    if os.environ.get("NARROWS_TRACEBACK"):
        traceback.print_exception(error)
    text = one_line(error) or type(error).__name__
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        note(f"narrows: there is not enough memory for this{f': {text}' if str(error) else ''}.")
    elif isinstance(error, (NarrowsError, ValueError, TypeError)):
        note(f"narrows: {in_flags(text)}")
    elif isinstance(error, ModuleNotFoundError):
        note(f'narrows: {error.name} is needed for this and is not installed: pip install "narrows[all]".')
    elif isinstance(error, OSError):
        note(f"narrows: {error.filename or 'the system'}: {error.strerror or text}.")
    else:
        note(f"narrows: a fault of narrows, {type(error).__name__}: {text} (NARROWS_TRACEBACK=1 shows where)")
        return FAULT
    return REFUSED


def in_flags(text: str) -> str:
    """Return a sentence of the library in the words of the command line."""
    for python, flag in _FLAGS.items():
        text = text.replace(python, flag)
    return text


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Show each warning of the block as one line on the standard error, after the block."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Rows are handed over as an array whose columns were chosen by name already.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        # Reading has said it already.
        warnings.simplefilter("ignore", ColumnsLeftOutWarning)
        for category in _NOT_SHOWN:
            warnings.simplefilter("ignore", category)
        try:
            yield
        finally:
            shown = dict.fromkeys(str(warning.message) for warning in caught)
            for text in shown:
                note(f"Note: {text}.")


class Terminated(SystemExit):
    """SIGTERM, as something that unwinds: temporary files are removed on the way."""


@contextmanager
def terminated_politely() -> Iterator[None]:
    """Make SIGTERM unwind the block."""

    def stop(*_: Any) -> None:
        raise Terminated(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


def give_up_output() -> None:
    """Throw away what is still buffered for a reader that has gone, so that it does not raise again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
