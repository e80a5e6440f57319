"""The page in the Airflow UI: what stands, what waits, what is wrong, and the evidence, each at its own address."""
