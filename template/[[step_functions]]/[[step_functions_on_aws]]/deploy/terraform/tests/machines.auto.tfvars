# For all tests in this folder: a made-up environment with one pipeline, whichever the project has.
machines_file    = "tests/machines.json"
pipelines_folder = "tests"
image            = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/data/project@sha256:0000"
