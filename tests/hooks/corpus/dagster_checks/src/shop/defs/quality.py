"""Checks on the assets of assets.py."""

import datetime as dt

import dagster as dg

from . import assets
from .assets import WITH, churn

OPTIONS = {"retry_policy": WITH["retry_policy"]}


@dg.asset_check(asset=churn, **OPTIONS)
def churn_is_a_share(): print("built")


@dg.multi_asset_check(
    specs=[dg.AssetCheckSpec("no_duplicates", asset="letters"), dg.AssetCheckSpec("no_duplicates", asset="calls")],
    **OPTIONS,
)
def contacts_are_unique(): print("built")


@dg.asset_check(asset="customers")  # expect: dagster-no-retries
def customers_have_names(): print("built")


freshness = dg.build_last_update_freshness_checks(
    assets=[assets.churn, "letters", "calls"], lower_bound_delta=dt.timedelta(days=8)
)
