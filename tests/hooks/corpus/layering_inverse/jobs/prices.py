import prefect

print(prefect)
