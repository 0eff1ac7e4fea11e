"""Steps of a workflow in a cloud: functions that take and return JSON, no more than the service hands on."""

import sales


def raw_sales(event, context=None):
    """Of Lambda these three are the handlers."""
    return [row for region in sales.REGIONS for row in sales.extract(region, event["day"])]


def no_negative_amount(event, context=None):
    return sales.refuse(event["rows"])


def sales_totals(event, context=None):
    sales.publish(sales.totals(event["rows"]), event["day"])


STEPS = {step.__name__: step for step in (raw_sales, no_negative_amount, sales_totals)}


def call(request):
    """Of Cloud Run this is the function that answers `POST /<step>`."""
    return {"result": STEPS[request.path.strip("/")](request.get_json())}
