"""Assets whose checks and freshness stand in other modules."""

import dagster as dg

WEEKLY = dg.WeeklyPartitionsDefinition(start_date="2024-01-01")
WITH = dict(partitions_def=WEEKLY, retry_policy=dg.RetryPolicy(max_retries=2), pool="lake")


@dg.asset(name="customers_raw", **WITH)
def load_customers(): print("built")


@dg.asset(deps=["customers_raw"], **WITH)
def customers(): print("built")


@dg.asset(deps=[load_customers], **WITH)  # expect: dagster-no-check, dagster-no-freshness
def addresses(): print("built")


@dg.asset(ins={"customers": dg.AssetIn()}, **WITH)
def churn(customers): print("built")


@dg.asset(key_prefix="marts", check_specs=[dg.AssetCheckSpec("unique", asset=["marts", "segments"])], **WITH)  # expect: dagster-no-freshness
def segments(): print("built")


@dg.multi_asset(
    specs=[
        dg.AssetSpec("letters", deps=["customers"]),
        dg.AssetSpec("calls", deps=["customers"]),
    ],
    **WITH,
)
def contacts(): print("built")


@dg.multi_asset(outs={"visits": dg.AssetOut(), "sales": dg.AssetOut()}, **WITH)  # expect: dagster-no-check, dagster-no-freshness
def shops(): print("built")
