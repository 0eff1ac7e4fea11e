import dagster

print(dagster)
