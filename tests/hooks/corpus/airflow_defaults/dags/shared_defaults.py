"""What all DAGs of this team have."""

from datetime import timedelta

BASE = {"owner": "pricing", "retries": 3}
TIMED = {**BASE, "execution_timeout": timedelta(minutes=30)}
MERGED = BASE | {"execution_timeout": timedelta(minutes=30), "pool": "warehouse"}
NO_RETRIES = dict(TIMED, retries=0)


def defaults(owner: str, **more) -> dict:
    return {"owner": owner, "retries": 2, **more}
