"""By hand: what is running?"""

import requests
from dagster import DagsterInstance

print(requests.get("http://127.0.0.1:3000/server_info", timeout=9).json())
print(DagsterInstance.get().get_runs())
