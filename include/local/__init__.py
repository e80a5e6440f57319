"""Airflow on one machine: its environment, its database, its server, and generated docs."""
