"""Plumbline: the daily control loop between a video platform's classifiers and its enforcement thresholds."""

__version__ = "0.1.0"
