from airflow.sdk import Asset
