"""The assets that chain the Dags. Each is partitioned by day, key YYYY-MM-DD."""

from airflow.sdk import Asset

REVIEW_SAMPLE = Asset("plumbline://review_sample")
LABELS = Asset("plumbline://label_consensus")
THRESHOLDS = Asset("plumbline://threshold_proposals")
RETRAINING = Asset("plumbline://retraining_decisions")
