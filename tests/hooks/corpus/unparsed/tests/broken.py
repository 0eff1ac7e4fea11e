import prefect
broken on purpose
