"""Options that the team's workflows share, and helpers of theirs."""

import os
from datetime import date, timedelta

SHORT = dict(start_to_close_timeout=timedelta(seconds=30))
LONG = timedelta(minutes=90)


def today() -> date:
    return date.today()  # expect: temporal-nondeterministic


def region() -> str:
    return os.environ["REGION"]  # expect: temporal-nondeterministic
