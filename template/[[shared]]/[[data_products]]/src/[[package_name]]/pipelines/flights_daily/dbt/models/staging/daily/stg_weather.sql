select
    partition_key,
    {{ given('origin') }} as origin,
    {{ timestamp_of('time_hour') }} as hour_utc,
    {{ number_of('temp') }} as temperature_f,
    {{ number_of('wind_speed') }} as wind_speed_mph,
    {{ number_of('precip') }} as precipitation_in,
    {{ number_of('visib') }} as visibility_mi
from {{ source('landed', 'weather') }}
