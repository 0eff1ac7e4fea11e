from airflow.sdk import Variable

print(Variable)
