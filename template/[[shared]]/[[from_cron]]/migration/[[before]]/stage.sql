-- The flights of a day, typed. Variables: day, such as 2013-01-02, and file, its CSV file.
CREATE OR REPLACE TEMP MACRO value(text) AS CAST(nullif(text, 'NA') AS INTEGER);
CREATE OR REPLACE TEMP MACRO clock(text) AS
    left(lpad(nullif(text, 'NA'), 4, '0'), 2) || ':' || right(lpad(nullif(text, 'NA'), 4, '0'), 2);

CREATE OR REPLACE TABLE staged_flights AS
WITH raw AS (
    SELECT *, strptime(time_hour, '%Y-%m-%dT%H:%M:%SZ') + to_minutes(value("minute")) AS scheduled
    FROM read_csv(getvariable('file'), all_varchar = true)
)
SELECT
    concat_ws('-', getvariable('day'), carrier, flight, origin, lpad(sched_dep_time, 4, '0')) AS flight_key,
    CAST(getvariable('day') AS DATE) AS flight_date,
    carrier,
    value(flight) AS flight_number,
    nullif(tailnum, 'NA') AS tail_number,
    origin,
    dest AS destination,
    scheduled AS scheduled_departure_utc,
    scheduled + to_minutes(value(dep_delay)) AS departure_utc,
    clock(sched_dep_time) AS scheduled_departure_local,
    clock(dep_time) AS departure_local,
    clock(sched_arr_time) AS scheduled_arrival_local,
    clock(arr_time) AS arrival_local,
    value(dep_delay) AS dep_delay_min,
    value(arr_delay) AS arr_delay_min,
    value(air_time) AS air_time_min,
    value(distance) AS distance_mi,
    dep_time = 'NA' AS cancelled
FROM raw;
