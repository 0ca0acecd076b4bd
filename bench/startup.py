"""How long it takes to start: ``import narrows`` and ``narrows --help``.

Each in a process of its own, by turns with an interpreter that does nothing. Bars: the import adds at most 0.1 s to
the bare interpreter; the help is there after 0.35 s, the interpreter included.

    python bench/startup.py [--runs 15]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import Line, alternate, machine, run_script, show


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False)
    taken = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:]) or command[0]} failed:\n{done.stderr.decode()[-2000:]}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    beside = Path(sys.executable).with_name("narrows")
    program = str(beside) if beside.exists() else shutil.which("narrows")
    commands = {
        "bare": [sys.executable, "-c", "pass"],
        "import": [sys.executable, "-c", "import narrows"],
    }
    notes = []
    if program and subprocess.run([program, "--help"], capture_output=True, check=False).returncode == 0:
        commands["help"] = [program, "--help"]
    else:
        notes.append("`narrows --help` does not run here.")
    for command in commands.values():
        seconds(command)  # so that all files have been read once
    found = alternate({name: lambda c=command: seconds(c) for name, command in commands.items()}, options.runs)
    bare = statistics.median(found["bare"])
    lines = [
        Line("python -c pass: s", found["bare"], ".3f"),
        Line("python -c 'import narrows': s", found["import"], ".3f"),
        Line("import narrows, less the bare median: s", [s - bare for s in found["import"]], ".3f", most=0.1),
    ]
    if "help" in found:
        lines.append(Line("narrows --help: s", found["help"], ".3f", most=0.35))
    show("Start-up", lines, notes)
    print(f"\n{machine()}")


if __name__ == "__main__":
    run_script(main)
