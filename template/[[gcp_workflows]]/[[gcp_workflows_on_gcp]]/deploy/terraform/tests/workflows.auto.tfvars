# For all tests in this folder: a made-up environment with one pipeline, whichever the project has.
workflows_file   = "tests/workflows.json"
pipelines_folder = "tests"
image            = "europe-west3-docker.pkg.dev/flights/data/project@sha256:0000"
