select
    flight_date,
    origin,
    cast(count(*) as integer) as flights,
    cast(sum(case when cancelled then 1 else 0 end) as integer) as cancelled,
    cast(count(arr_delay_min) as integer) as arrived,
    cast(sum(case when arr_delay_min <= 15 then 1 else 0 end) as integer) as on_time
from {{ ref('fct_departures') }}
where {{ var('in_partition', 'true') }}
group by flight_date, origin
