#!/bin/sh
# MWAA runs this before each part of Airflow. `make deploy` puts the environment in its place.
export APP_ENV=@ENV@ APP_ROOT=/usr/local/airflow/plugins APP_PATHS__STATE=/tmp/state
