"""Anomaly detection: rows, and spans of a series, that are unlike the fit, and the columns that make them so."""

from narrows.anomaly.detector import AnomalyDetector
from narrows.anomaly.page import write_anomaly_report
from narrows.anomaly.series import Windows, windows

__all__ = ["AnomalyDetector", "Windows", "windows", "write_anomaly_report"]
