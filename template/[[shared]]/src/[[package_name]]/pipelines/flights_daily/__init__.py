"""flights_daily: one partition a day of flights out of New York, from CSV files to published tables."""
