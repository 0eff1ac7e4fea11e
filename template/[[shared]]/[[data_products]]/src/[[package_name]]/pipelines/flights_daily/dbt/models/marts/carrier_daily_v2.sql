select
    f.flight_date,
    f.carrier,
    a.carrier_name,
    cast(count(*) as integer) as flights,
    cast(sum(case when f.cancelled then 1 else 0 end) as integer) as cancelled,
    cast(count(f.arr_delay_min) as integer) as arrived,
    cast(sum(case when f.arr_delay_min <= 15 then 1 else 0 end) as integer) as on_time,
    avg(cast(f.arr_delay_min as double precision)) as mean_arr_delay_min
from {{ ref('fct_flights') }} as f
left join {{ ref('stg_airlines') }} as a on f.carrier = a.carrier
where {{ var('in_partition', 'true') }}
group by f.flight_date, f.carrier, a.carrier_name
