# For the Astro CLI (`astro dev start`) and docs/deploy/compose.yaml. Written from Astronomer's documentation; not run by
# this project's CI. The image brings Airflow and installs requirements.txt, in which Airflow is pinned to the version
# tried here; docs/deploying.md says what to do where it refuses that.
FROM astrocrpublic.azurecr.io/runtime:3.3-2
# The volumes of docs/deploy/compose.yaml take their owner from these folders.
RUN mkdir -p /usr/local/airflow/storage /usr/local/airflow/logs
