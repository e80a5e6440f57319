"""The steps of the Dags that change thresholds."""
