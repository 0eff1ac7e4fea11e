def tables() -> list[str]:
    return ["prices"]


PUBLISHED_TABLES = tables()  # expect: table-without-contract
