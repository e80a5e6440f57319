"""Brings a pair of score and vote files into the landing folder, so that the Dags run on it."""
