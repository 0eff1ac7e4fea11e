{# The daily marts together hold each flight exactly once. Dagster shows it as a check of the model in `ref`. #}
{{ config(meta={'dagster': {'ref': {'name': 'airport_daily'}}}) }}
with counted as (
    select
        (select count(*) from {{ ref('fct_flights') }} where {{ var('in_partition', 'true') }}) as flights,
        (select sum(flights) from {{ ref('airport_daily') }} where {{ var('in_partition', 'true') }}) as by_airport,
        (select sum(flights) from {{ ref('carrier_daily', v=2) }} where {{ var('in_partition', 'true') }}) as by_carrier
)

select * from counted where flights <> by_airport or flights <> by_carrier
