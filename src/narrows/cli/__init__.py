"""The command line: ``narrows VERB ...``, one file per family of verbs.

What a verb takes is declared in :mod:`narrows.cli.verbs`; its module is imported only when it has work to do, so that
``--help`` is at once there.
"""

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows ``narrows`` on the command line; by default that of this process.

    Returns
    -------
    int
        The exit code: 0 done, 1 a compressed file that was to be verified is damaged, 2 a mistake in what was asked
        for (one line on the standard error), 70 a fault of narrows, 130 cut off by Ctrl-C with nothing kept, 141 the
        reader of the output has gone, 143 terminated.
    """
    from narrows.cli.app import run

    return run(arguments)
