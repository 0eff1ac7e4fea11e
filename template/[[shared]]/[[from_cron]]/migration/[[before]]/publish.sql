-- The staged day replaces that day in the published tables, in one transaction.
CREATE OR REPLACE TEMP VIEW carriers AS
SELECT
    flight_date,
    carrier,
    count(*) AS flights,
    count(*) FILTER (cancelled) AS cancelled,
    count(*) FILTER (NOT cancelled) AS departed,
    avg(dep_delay_min) AS mean_dep_delay_min,
    quantile_cont(dep_delay_min, 0.9) AS p90_dep_delay_min,
    avg(arr_delay_min) AS mean_arr_delay_min,
    quantile_cont(arr_delay_min, 0.9) AS p90_arr_delay_min
FROM staged_flights GROUP BY ALL;
CREATE OR REPLACE TEMP VIEW routes AS
SELECT
    flight_date,
    origin,
    destination,
    count(*) AS flights,
    count(*) FILTER (cancelled) AS cancelled,
    max(distance_mi) AS distance_mi
FROM staged_flights GROUP BY ALL;

BEGIN;
CREATE TABLE IF NOT EXISTS fact_flights AS FROM staged_flights LIMIT 0;
CREATE TABLE IF NOT EXISTS daily_carrier_performance AS FROM carriers LIMIT 0;
CREATE TABLE IF NOT EXISTS daily_route_volume AS FROM routes LIMIT 0;
DELETE FROM fact_flights WHERE flight_date = CAST(getvariable('day') AS DATE);
DELETE FROM daily_carrier_performance WHERE flight_date = CAST(getvariable('day') AS DATE);
DELETE FROM daily_route_volume WHERE flight_date = CAST(getvariable('day') AS DATE);
INSERT INTO fact_flights FROM staged_flights;
INSERT INTO daily_carrier_performance FROM carriers;
INSERT INTO daily_route_volume FROM routes;
COMMIT;
