"""Temporary files and folders that are gone when their block ends, also where a signal ends the process."""

import os
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

__all__ = ["temporary_beside"]

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What ends a process at once, unless somebody listens."""

_live: dict[Path, int] = {}
"""What is to be removed, and the process that made it."""


@contextmanager
def temporary_beside(target: Path) -> Iterator[Path]:
    """Give a free name in the target's folder; what bears it when the block ends is removed.

    That holds whether the block ends well, by an exception, or by SIGTERM or SIGHUP in its midst. Signals that
    somebody listens to already are left to them: a handler that raises ends the block like any exception.
    """
    # The name is cut so that a target of the longest permitted name still leaves room for the rest.
    path = target.with_name(f".{target.name[:80]}.{secrets.token_hex(6)}.tmp")
    handled = _handle_signals()
    _live[path] = os.getpid()
    try:
        yield path
    finally:
        _remove(path)
        _live.pop(path, None)
        for number in handled:
            if signal.getsignal(number) is _remove_all_and_end:
                signal.signal(number, signal.SIG_DFL)


def _handle_signals() -> list[int]:
    """Listen to the signals that nobody listens to; only the main thread may, on behalf of them all."""
    if threading.current_thread() is not threading.main_thread():
        return []
    unheard = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in unheard:
        signal.signal(number, _remove_all_and_end)
    return unheard


def _remove_all_and_end(number: int, _frame: FrameType | None) -> None:
    """Remove what this process made, not what the one made that it was forked from; then let the signal do its work."""
    for path, process in list(_live.items()):
        if process == os.getpid():
            _remove(path)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
