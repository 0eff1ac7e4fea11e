-- The floor: what flights_daily does to one day, written by hand for DuckDB and nothing else.
-- {file}, {day}, {next_day}, {year}, {month} and {day_of_month} are filled in for each day.

CREATE TABLE IF NOT EXISTS fact_flights (
    flight_key VARCHAR, flight_date DATE, carrier VARCHAR, flight_number INTEGER, tail_number VARCHAR,
    origin VARCHAR, destination VARCHAR, scheduled_departure_utc TIMESTAMP, departure_utc TIMESTAMP,
    scheduled_departure_local VARCHAR, departure_local VARCHAR, scheduled_arrival_local VARCHAR,
    arrival_local VARCHAR, dep_delay_min INTEGER, arr_delay_min INTEGER, air_time_min INTEGER,
    distance_mi INTEGER, cancelled BOOLEAN
);
CREATE TABLE IF NOT EXISTS daily_carrier_performance (
    flight_date DATE, carrier VARCHAR, flights BIGINT, cancelled BIGINT, departed BIGINT,
    mean_dep_delay_min DOUBLE, p90_dep_delay_min DOUBLE, mean_arr_delay_min DOUBLE, p90_arr_delay_min DOUBLE
);
CREATE TABLE IF NOT EXISTS daily_route_volume (
    flight_date DATE, origin VARCHAR, destination VARCHAR, flights BIGINT, cancelled BIGINT, distance_mi INTEGER
);
CREATE TABLE IF NOT EXISTS fact_flights_quarantine (
    flight_date DATE, source_row BIGINT, reason VARCHAR, record VARCHAR
);

-- extract: the file as text; lines that cannot be split go to reject_errors
CREATE OR REPLACE TEMP TABLE raw AS
SELECT row_number() OVER () AS source_row, *
FROM read_csv('{file}', auto_detect = false, header = true, delim = ',', quote = '', escape = '',
    store_rejects = true, rejects_limit = 0,
    columns = {{
        'year': 'VARCHAR', 'month': 'VARCHAR', 'day': 'VARCHAR', 'dep_time': 'VARCHAR', 'sched_dep_time': 'VARCHAR',
        'dep_delay': 'VARCHAR', 'arr_time': 'VARCHAR', 'sched_arr_time': 'VARCHAR', 'arr_delay': 'VARCHAR',
        'carrier': 'VARCHAR', 'flight': 'VARCHAR', 'tailnum': 'VARCHAR', 'origin': 'VARCHAR', 'dest': 'VARCHAR',
        'air_time': 'VARCHAR', 'distance': 'VARCHAR', 'hour': 'VARCHAR', 'minute': 'VARCHAR', 'time_hour': 'VARCHAR'
    }});

-- transform: types; `unreadable` says whether a value was there that could not be typed
CREATE OR REPLACE TEMP TABLE typed AS
WITH given AS (
    SELECT * REPLACE (
        nullif(year, 'NA') AS year, nullif(month, 'NA') AS month, nullif(day, 'NA') AS day,
        nullif(dep_time, 'NA') AS dep_time, nullif(sched_dep_time, 'NA') AS sched_dep_time,
        nullif(dep_delay, 'NA') AS dep_delay, nullif(arr_time, 'NA') AS arr_time,
        nullif(sched_arr_time, 'NA') AS sched_arr_time, nullif(arr_delay, 'NA') AS arr_delay,
        nullif(carrier, 'NA') AS carrier, nullif(flight, 'NA') AS flight, nullif(tailnum, 'NA') AS tailnum,
        nullif(origin, 'NA') AS origin, nullif(dest, 'NA') AS dest, nullif(air_time, 'NA') AS air_time,
        nullif(distance, 'NA') AS distance, nullif(minute, 'NA') AS minute, nullif(time_hour, 'NA') AS time_hour
    ) FROM raw
), read AS (
    SELECT *,
        try_cast(year AS INTEGER) AS year_, try_cast(month AS INTEGER) AS month_, try_cast(day AS INTEGER) AS day_,
        try_cast(flight AS INTEGER) AS flight_, try_cast(minute AS INTEGER) AS minute_,
        try_cast(dep_delay AS INTEGER) AS dep_delay_, try_cast(arr_delay AS INTEGER) AS arr_delay_,
        try_cast(air_time AS INTEGER) AS air_time_, try_cast(distance AS INTEGER) AS distance_,
        CASE WHEN regexp_matches(dep_time, '^([01]?[0-9]|2[0-3])?[0-5]?[0-9]$|^2400$')
            THEN left(lpad(dep_time, 4, '0'), 2) || ':' || right(lpad(dep_time, 4, '0'), 2) END AS dep_time_,
        CASE WHEN regexp_matches(sched_dep_time, '^([01]?[0-9]|2[0-3])?[0-5]?[0-9]$|^2400$')
            THEN left(lpad(sched_dep_time, 4, '0'), 2) || ':' || right(lpad(sched_dep_time, 4, '0'), 2)
            END AS sched_dep_time_,
        CASE WHEN regexp_matches(arr_time, '^([01]?[0-9]|2[0-3])?[0-5]?[0-9]$|^2400$')
            THEN left(lpad(arr_time, 4, '0'), 2) || ':' || right(lpad(arr_time, 4, '0'), 2) END AS arr_time_,
        CASE WHEN regexp_matches(sched_arr_time, '^([01]?[0-9]|2[0-3])?[0-5]?[0-9]$|^2400$')
            THEN left(lpad(sched_arr_time, 4, '0'), 2) || ':' || right(lpad(sched_arr_time, 4, '0'), 2)
            END AS sched_arr_time_,
        CASE WHEN length(time_hour) = 20 AND right(time_hour, 1) = 'Z'
                AND left(time_hour, 10) IN ('{day}', '{next_day}')
            THEN try_cast(left(time_hour, 19) AS TIMESTAMP) END AS time_hour_
    FROM given
)
SELECT
    source_row,
    '{day}-' || carrier || '-' || flight || '-' || origin || '-' || lpad(sched_dep_time, 4, '0') AS flight_key,
    CASE WHEN year_ = {year} AND month_ = {month} AND day_ = {day_of_month} THEN DATE '{day}' END AS flight_date,
    carrier, flight_ AS flight_number, tailnum AS tail_number, origin, dest AS destination,
    time_hour_ + to_minutes(minute_) AS scheduled_departure_utc,
    time_hour_ + to_minutes(minute_) + to_minutes(dep_delay_) AS departure_utc,
    sched_dep_time_ AS scheduled_departure_local, dep_time_ AS departure_local,
    sched_arr_time_ AS scheduled_arrival_local, arr_time_ AS arrival_local,
    dep_delay_ AS dep_delay_min, arr_delay_ AS arr_delay_min, air_time_ AS air_time_min, distance_ AS distance_mi,
    dep_time IS NULL AS cancelled,
    concat_ws(' ',
        CASE WHEN year IS NOT NULL AND year_ IS NULL THEN 'year' END,
        CASE WHEN month IS NOT NULL AND month_ IS NULL THEN 'month' END,
        CASE WHEN day IS NOT NULL AND day_ IS NULL THEN 'day' END,
        CASE WHEN flight IS NOT NULL AND flight_ IS NULL THEN 'flight' END,
        CASE WHEN minute IS NOT NULL AND minute_ IS NULL THEN 'minute' END,
        CASE WHEN dep_delay IS NOT NULL AND dep_delay_ IS NULL THEN 'dep_delay' END,
        CASE WHEN arr_delay IS NOT NULL AND arr_delay_ IS NULL THEN 'arr_delay' END,
        CASE WHEN air_time IS NOT NULL AND air_time_ IS NULL THEN 'air_time' END,
        CASE WHEN distance IS NOT NULL AND distance_ IS NULL THEN 'distance' END,
        CASE WHEN dep_time IS NOT NULL AND dep_time_ IS NULL THEN 'dep_time' END,
        CASE WHEN sched_dep_time IS NOT NULL AND sched_dep_time_ IS NULL THEN 'sched_dep_time' END,
        CASE WHEN arr_time IS NOT NULL AND arr_time_ IS NULL THEN 'arr_time' END,
        CASE WHEN sched_arr_time IS NOT NULL AND sched_arr_time_ IS NULL THEN 'sched_arr_time' END,
        CASE WHEN time_hour IS NOT NULL AND time_hour_ IS NULL THEN 'time_hour' END
    ) AS unreadable
FROM read;

-- check: the rules of contract.py, each with its name as the reason
CREATE OR REPLACE TEMP TABLE rejected AS
WITH checked AS (
    SELECT source_row, concat_ws(', ',
        CASE WHEN flight_key IS NULL THEN 'flight_key: nullability' END,
        CASE WHEN count(*) OVER (PARTITION BY flight_key) > 1 THEN 'primary_key' END,
        CASE WHEN carrier IS NULL THEN 'carrier: nullability' END,
        CASE WHEN NOT regexp_matches(carrier, '^[0-9A-Z]{{2}}$') THEN 'carrier: regex' END,
        CASE WHEN flight_number IS NULL THEN 'flight_number: nullability' END,
        CASE WHEN flight_number NOT BETWEEN 1 AND 9999 THEN 'flight_number: range' END,
        CASE WHEN NOT regexp_matches(tail_number, '^[0-9A-Z]{{5,6}}$') THEN 'tail_number: regex' END,
        CASE WHEN origin IS NULL THEN 'origin: nullability' END,
        CASE WHEN NOT regexp_matches(origin, '^(EWR|JFK|LGA)$') THEN 'origin: regex' END,
        CASE WHEN destination IS NULL THEN 'destination: nullability' END,
        CASE WHEN NOT regexp_matches(destination, '^[A-Z]{{3}}$') THEN 'destination: regex' END,
        CASE WHEN scheduled_departure_utc IS NULL THEN 'scheduled_departure_utc: nullability' END,
        CASE WHEN scheduled_departure_local IS NULL THEN 'scheduled_departure_local: nullability' END,
        CASE WHEN NOT regexp_matches(scheduled_departure_local, '^\d{{2}}:\d{{2}}$')
            THEN 'scheduled_departure_local: regex' END,
        CASE WHEN NOT regexp_matches(departure_local, '^\d{{2}}:\d{{2}}$') THEN 'departure_local: regex' END,
        CASE WHEN scheduled_arrival_local IS NULL THEN 'scheduled_arrival_local: nullability' END,
        CASE WHEN NOT regexp_matches(scheduled_arrival_local, '^\d{{2}}:\d{{2}}$')
            THEN 'scheduled_arrival_local: regex' END,
        CASE WHEN NOT regexp_matches(arrival_local, '^\d{{2}}:\d{{2}}$') THEN 'arrival_local: regex' END,
        CASE WHEN dep_delay_min NOT BETWEEN -120 AND 2000 THEN 'dep_delay_min: range' END,
        CASE WHEN arr_delay_min NOT BETWEEN -180 AND 2000 THEN 'arr_delay_min: range' END,
        CASE WHEN air_time_min NOT BETWEEN 1 AND 1200 THEN 'air_time_min: range' END,
        CASE WHEN distance_mi IS NULL THEN 'distance_mi: nullability' END,
        CASE WHEN distance_mi NOT BETWEEN 1 AND 12000 THEN 'distance_mi: range' END,
        CASE WHEN unreadable <> '' THEN 'every_value_was_readable' END,
        CASE WHEN flight_date IS NULL THEN 'flight_is_of_this_day' END,
        CASE WHEN strftime(timezone('America/New_York', timezone('UTC', scheduled_departure_utc)), '%Y-%m-%d %H:%M')
            <> strftime(flight_date, '%Y-%m-%d ') || scheduled_departure_local THEN 'utc_and_local_departure_agree' END,
        CASE WHEN cancelled <> (dep_delay_min IS NULL)
            THEN 'departed_flights_have_a_delay_and_cancelled_ones_none' END
    ) AS reason
    FROM typed
)
FROM checked WHERE reason <> '';

SELECT CASE
    WHEN rejected > 0.02 * total THEN error('too many rows break the contract')
    WHEN total - rejected NOT BETWEEN 300 AND {max_rows} THEN error('not as many rows as a day has')
END FROM (SELECT (SELECT count(*) FROM typed) AS total, (SELECT count(*) FROM rejected) AS rejected);

-- publish: the day's partition of all tables, in one transaction
CREATE OR REPLACE TEMP VIEW kept AS
SELECT * EXCLUDE (source_row, unreadable) FROM typed ANTI JOIN rejected USING (source_row);

BEGIN;
DELETE FROM fact_flights WHERE flight_date = DATE '{day}';
INSERT INTO fact_flights BY NAME FROM kept;

DELETE FROM daily_carrier_performance WHERE flight_date = DATE '{day}';
INSERT INTO daily_carrier_performance BY NAME
SELECT flight_date, carrier, count(*) AS flights, count(*) FILTER (cancelled) AS cancelled,
    count(*) FILTER (NOT cancelled) AS departed,
    avg(dep_delay_min) AS mean_dep_delay_min, quantile_cont(dep_delay_min, 0.9) AS p90_dep_delay_min,
    avg(arr_delay_min) AS mean_arr_delay_min, quantile_cont(arr_delay_min, 0.9) AS p90_arr_delay_min
FROM kept GROUP BY ALL;

DELETE FROM daily_route_volume WHERE flight_date = DATE '{day}';
INSERT INTO daily_route_volume BY NAME
SELECT flight_date, origin, destination, count(*) AS flights, count(*) FILTER (cancelled) AS cancelled,
    max(distance_mi) AS distance_mi
FROM kept GROUP BY ALL;

DELETE FROM fact_flights_quarantine WHERE flight_date = DATE '{day}';
INSERT INTO fact_flights_quarantine BY NAME
SELECT DATE '{day}' AS flight_date, source_row, reason,
    concat_ws(',', year, month, day, dep_time, sched_dep_time, dep_delay, arr_time, sched_arr_time, arr_delay, carrier,
        flight, tailnum, origin, dest, air_time, distance, hour, minute, time_hour) AS record
FROM raw JOIN rejected USING (source_row)
UNION ALL
SELECT DATE '{day}', line, min(error_message), min(csv_line) FROM reject_errors GROUP BY line;
COMMIT;

DROP TABLE IF EXISTS reject_errors;
DROP TABLE IF EXISTS reject_scans;
