"""A simulated platform, lived through day by day with all daily Dags."""
