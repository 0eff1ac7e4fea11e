select
    flight_key,
    flight_date,
    carrier,
    flight_number,
    origin,
    destination,
    scheduled_departure_local,
    departure_hour,
    cast(count(*) over (partition by flight_date, origin, departure_hour) as integer) as flights_in_hour,
    dep_delay_min,
    arr_delay_min,
    distance_mi,
    cancelled
from {{ ref('stg_flights') }}
where {{ of_this_partition() }}
