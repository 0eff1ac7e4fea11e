import dataframely as dy


class Order(dy.Schema):
    order_id = dy.Int64(primary_key=True)


class DailyTotals(dy.Schema):
    day = dy.Date(primary_key=True)


class Refunds:
    """No schema: a class without a base says nothing of columns."""


CONTRACTS = {"fact_orders": Order}
