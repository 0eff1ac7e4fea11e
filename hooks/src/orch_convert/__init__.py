"""A first draft of an Airflow DAG for another orchestrator, and what is left to decide."""
