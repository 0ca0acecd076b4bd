"""Labs: an exercise as courses teach it, run on the reader's own machine and held against the simple answers.

A lab is a job: it fits, measures and gives plain data. What shows it is the command line (``narrows lab``) and the
HTML report.
"""

from __future__ import annotations

from narrows.labs.anomalies import run_anomaly_lab
from narrows.labs.anomalies_lessons import anomaly_lessons
from narrows.labs.anomalies_results import AnomalyResult, AnomalyScore, Blame, Exhibit, Method, Task
from narrows.labs.digits import run_lab
from narrows.labs.lessons import lessons
from narrows.labs.movies import run_movies_lab
from narrows.labs.movies_lessons import movies_lessons
from narrows.labs.movies_results import (
    Candidate,
    Film,
    Gain,
    MoviesExhibits,
    MoviesResult,
    RankingScore,
    StarsScore,
)
from narrows.labs.results import Accuracy, Entry, Exhibits, LabResult
from narrows.labs.vae import run_vae_lab
from narrows.labs.vae_lessons import vae_lessons
from narrows.labs.vae_results import SimpleEntry, VaeEntry, VaeExhibits, VaeResult

__all__ = [
    "Accuracy",
    "AnomalyResult",
    "AnomalyScore",
    "Blame",
    "Candidate",
    "Entry",
    "Exhibit",
    "Exhibits",
    "Film",
    "Gain",
    "LabResult",
    "Method",
    "MoviesExhibits",
    "MoviesResult",
    "RankingScore",
    "SimpleEntry",
    "StarsScore",
    "Task",
    "VaeEntry",
    "VaeExhibits",
    "VaeResult",
    "anomaly_lessons",
    "lessons",
    "movies_lessons",
    "run_anomaly_lab",
    "run_lab",
    "run_movies_lab",
    "run_vae_lab",
    "vae_lessons",
]
