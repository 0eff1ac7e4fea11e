EXTRA = "order_margins"
PUBLISHED_TABLES = (
    "fact_orders",
    "daily_totals",
    "order_lines",
    "refunds",  # expect: table-without-contract
    EXTRA,  # expect: table-without-contract
)
