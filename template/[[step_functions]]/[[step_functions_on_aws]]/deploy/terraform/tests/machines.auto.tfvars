# For all tests in this folder: values of a made-up environment.
machines_file = "tests/machines.json"
image         = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/data/project@sha256:0000"
