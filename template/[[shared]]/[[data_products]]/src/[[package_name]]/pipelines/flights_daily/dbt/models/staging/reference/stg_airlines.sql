select
    {{ given('carrier') }} as carrier,
    {{ given('name') }} as carrier_name
from {{ source('landed', 'airlines') }}
