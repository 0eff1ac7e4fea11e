"""Runs in a container of its own; no DAG imports it."""

import pandas as pd
from airflow.models import Variable

print(pd.DataFrame([Variable.get("target")]))
