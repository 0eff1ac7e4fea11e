select
    partition_key,
    source_row,
    {{ date_of('year', 'month', 'day') }} as flight_date,
    {{ given('carrier') }} as carrier,
    {{ integer_of('flight') }} as flight_number,
    {{ given('tailnum') }} as tail_number,
    {{ given('origin') }} as origin,
    {{ given('dest') }} as destination,
    {{ given('sched_dep_time') }} as scheduled_departure_local,
    {{ timestamp_of('time_hour') }} as departure_hour_utc,
    {{ integer_of('dep_delay') }} as dep_delay_min,
    {{ integer_of('arr_delay') }} as arr_delay_min,
    {{ integer_of('air_time') }} as air_time_min,
    {{ integer_of('distance') }} as distance_mi,
    {{ given('dep_time') }} is null as cancelled,
    {{ unreadable(['year', 'month', 'day', 'flight', 'dep_delay', 'arr_delay', 'air_time', 'distance']) }} as unreadable
from {{ source('landed', 'flights') }}
