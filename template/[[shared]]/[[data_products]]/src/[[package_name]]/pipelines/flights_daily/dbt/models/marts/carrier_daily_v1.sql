{# The form before on_time and arrived, for those who still read it; remove it after its deprecation_date. #}
select
    flight_date,
    carrier,
    carrier_name,
    flights,
    cancelled,
    mean_arr_delay_min
from {{ ref('carrier_daily', v=2) }}
where {{ var('in_partition', 'true') }}
