# For the Astro CLI (`astro dev start`). Written from Astronomer's documentation; not run by this project's CI.
# The image brings Airflow and installs requirements.txt, in which Airflow is pinned to the version tried here.
FROM astrocrpublic.azurecr.io/runtime:3.3-2
