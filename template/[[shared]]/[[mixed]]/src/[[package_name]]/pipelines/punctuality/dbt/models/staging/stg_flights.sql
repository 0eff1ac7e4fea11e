{# The contract of flights_daily has checked every value, so text of another form ends the run. #}
select
    partition_key,
    flight_key,
    cast(flight_date as date) as flight_date,
    carrier,
    cast(flight_number as integer) as flight_number,
    origin,
    destination,
    scheduled_departure_local,
    cast(substr(scheduled_departure_local, 1, 2) as integer) as departure_hour,
    cast(dep_delay_min as integer) as dep_delay_min,
    cast(arr_delay_min as integer) as arr_delay_min,
    cast(distance_mi as integer) as distance_mi,
    cast(cancelled as boolean) as cancelled
from {{ source('landed', 'flights') }}
