{# [quality] in config/ says what share of rows may be here before nothing is published. #}
select
    cast(partition_key as date) as flight_date,
    source_row,
    reason,
    coalesce(carrier, '') || coalesce(cast(flight_number as text), '') || ' ' || coalesce(origin, '') || '-'
    || coalesce(destination, '') as flight
from {{ ref('stg_flights_checked') }}
where reason is not null and {{ of_this_partition() }}
