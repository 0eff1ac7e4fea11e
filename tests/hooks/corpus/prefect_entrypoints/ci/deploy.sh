prefect deploy ./jobs/cli.py:run --name main --pool machines
