select
    cast(f.flight_date as text) || '-' || f.carrier || '-' || cast(f.flight_number as text) || '-' || f.origin || '-'
    || f.scheduled_departure_local as flight_key,
    f.flight_date,
    f.carrier,
    f.flight_number,
    f.tail_number,
    f.origin,
    f.destination,
    f.dep_delay_min,
    f.arr_delay_min,
    f.air_time_min,
    f.distance_mi,
    f.cancelled,
    p.manufacturer,
    p.seats,
    w.temperature_f,
    w.wind_speed_mph,
    w.precipitation_in,
    w.visibility_mi
from {{ ref('stg_flights_checked') }} as f
left join {{ ref('stg_planes') }} as p on f.tail_number = p.tail_number
left join {{ ref('stg_weather') }} as w
    on f.partition_key = w.partition_key and f.origin = w.origin and f.departure_hour_utc = w.hour_utc
where f.reason is null and {{ of_this_partition('f.partition_key') }}
