{# Each flight with the rule that it breaks, null where it breaks none. #}
with numbered as (
    select
        *,
        row_number() over (
            partition by partition_key, carrier, flight_number, origin, scheduled_departure_local order by source_row
        ) as copy
    from {{ ref('stg_flights') }}
)

select
    *,
    case
        when unreadable <> '' then 'unreadable:' || unreadable
        when flight_date is null or flight_date <> cast(partition_key as date) then 'flight_is_of_another_day'
        when carrier is null or not (carrier ~ '^[0-9A-Z]{2}$') then 'carrier'
        when flight_number is null or flight_number not between 1 and 9999 then 'flight_number'
        when origin is null or origin not in ('EWR', 'JFK', 'LGA') then 'origin'
        when destination is null or not (destination ~ '^[A-Z]{3}$') then 'destination'
        when distance_mi is null or distance_mi not between 1 and 12000 then 'distance_mi'
        when dep_delay_min not between -120 and 2000 then 'dep_delay_min'
        when cancelled <> (dep_delay_min is null) then 'departed_flights_have_a_delay_and_cancelled_ones_none'
        when copy > 1 then 'flight_is_there_twice'
    end as reason
from numbered
