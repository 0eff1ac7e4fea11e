select
    {{ given('faa') }} as airport,
    {{ given('name') }} as airport_name
from {{ source('landed', 'airports') }}
