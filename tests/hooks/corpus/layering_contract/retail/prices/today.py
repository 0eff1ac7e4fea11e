import dagster  # expect: business-imports-orchestrator

print(dagster)
