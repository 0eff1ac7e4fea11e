import prefect  # expect: business-imports-orchestrator

print(prefect)
