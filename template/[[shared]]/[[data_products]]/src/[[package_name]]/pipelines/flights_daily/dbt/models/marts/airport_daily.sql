select
    f.flight_date,
    f.origin,
    a.airport_name,
    cast(count(*) as integer) as flights,
    cast(sum(case when f.cancelled then 1 else 0 end) as integer) as cancelled,
    cast(sum(case when f.cancelled then 0 else f.seats end) as integer) as seats_flown,
    avg(cast(f.dep_delay_min as double precision)) as mean_dep_delay_min,
    max(f.wind_speed_mph) as max_wind_speed_mph,
    min(f.visibility_mi) as min_visibility_mi
from {{ ref('fct_flights') }} as f
left join {{ ref('stg_airports') }} as a on f.origin = a.airport
where {{ var('in_partition', 'true') }}
group by f.flight_date, f.origin, a.airport_name
