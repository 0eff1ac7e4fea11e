select
    {{ given('tailnum') }} as tail_number,
    {{ given('manufacturer') }} as manufacturer,
    {{ integer_of('seats') }} as seats
from {{ source('landed', 'planes') }}
