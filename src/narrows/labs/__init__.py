"""Labs: an exercise as courses teach it, run on the reader's own machine and held against the simple answers.

A lab is a job: it fits, measures and gives plain data. What shows it is the command line (``narrows lab``) and the
HTML report.
"""

from __future__ import annotations

from narrows.labs.digits import run_lab
from narrows.labs.lessons import lessons
from narrows.labs.results import Accuracy, Entry, Exhibits, LabResult

__all__ = ["Accuracy", "Entry", "Exhibits", "LabResult", "lessons", "run_lab"]
