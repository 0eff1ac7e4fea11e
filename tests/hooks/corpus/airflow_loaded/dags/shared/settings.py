from airflow.contrib.hooks.gcs_hook import GoogleCloudStorageHook
from airflow.hooks.base_hook import BaseHook
from airflow.models import Variable

TARGET = Variable.get("target")  # expect: airflow-import-work
HOST = BaseHook.get_connection("lake").host  # expect: airflow-import-work
FILES = GoogleCloudStorageHook().list("bucket")  # expect: airflow-import-work
