"""The daily report: one self-contained HTML file, built from frames alone."""

from include.thresholds.report.data import ReportData
from include.thresholds.report.page import build_report

__all__ = ["ReportData", "build_report"]
