"""The assets that chain the Dags, partitioned by day, key YYYY-MM-DD; and those that tools push to, which are not."""

from airflow.sdk import Asset

OWN = "plumbline://"
"""What the assets' addresses begin with; the table follows, or what tools push."""

REVIEW_SAMPLE = Asset("plumbline://review_sample")
LABELS = Asset("plumbline://label_consensus")
THRESHOLDS = Asset("plumbline://threshold_proposals")
RETRAINING = Asset("plumbline://retraining_decisions")
PUSHED_LABELS = Asset("plumbline://pushed_labels")
CHALLENGER = Asset("plumbline://challenger")
