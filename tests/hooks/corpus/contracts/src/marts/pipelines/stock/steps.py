PUBLISHED_TABLES: list[str] = ["stock_levels"]  # expect: table-without-contract
