#!/bin/sh
cat > "$DAGSTER_HOME/dagster.yaml" <<END
run_monitoring:
  enabled: true
  max_runtime_seconds: 900
run_retries:
  enabled: true
  max_retries: 2
concurrency:
  runs:
    max_concurrent_runs: 4
END
exec dagster-daemon run
