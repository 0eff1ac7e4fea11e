#!/bin/sh
# Publishes one day of flights, by default yesterday: flights_daily.sh [2013-01-02]. Needs the duckdb command.
set -eu

here=$(dirname "$0")
day=${1:-$(date -d yesterday +%F)}
landing=${LANDING:-data/landing/flights_daily}
warehouse=${WAREHOUSE:-var/before.duckdb}

sql() { duckdb -bail -noheader -list -cmd "SET VARIABLE day = '$day'; SET VARIABLE file = '$landing/$day/flights.csv'" "$warehouse"; }

# Wait for the input, an hour at most.
tries=60
until [ -e "$landing/$day/_SUCCESS" ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { echo "no input for $day" >&2; exit 1; }
    sleep 60
done

mkdir -p "$(dirname "$warehouse")"
sql < "$here/stage.sql"

rows=$(echo "SELECT count(*) FROM staged_flights" | sql)
if [ "$rows" -lt 300 ] || [ "$rows" -gt 2000 ]; then
    echo "$rows flights on $day are not a day of flights" >&2
    exit 1
fi

# Publish; the database may be busy, so try three times.
for pause in 30 60 0; do
    if sql < "$here/publish.sql"; then
        echo "$day: $rows flights"
        exit 0
    fi
    sleep "$pause"
done
exit 1
