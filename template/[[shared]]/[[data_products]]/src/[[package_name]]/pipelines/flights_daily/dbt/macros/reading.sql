{# Landed text as values, the same on DuckDB and PostgreSQL. Text of another form than the value's is null. #}

{% macro given(column) -%}
    nullif(nullif({{ column }}, ''), 'NA')
{%- endmacro %}

{% macro integer_of(column) -%}
    case when {{ column }} ~ '^-?[0-9]{1,9}$' then cast({{ column }} as integer) end
{%- endmacro %}

{% macro number_of(column) -%}
    case when {{ column }} ~ '^-?[0-9]+([.][0-9]+)?$' then cast({{ column }} as double precision) end
{%- endmacro %}

{% macro timestamp_of(column) -%}
    case
        when {{ column }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$'
            then cast(replace(replace({{ column }}, 'T', ' '), 'Z', '') as timestamp)
    end
{%- endmacro %}

{# A date from three columns of text; null when they are no date of the years 1900 to 2099. #}
{% macro date_of(year, month, day) -%}
    case
        when
            {{ year }} ~ '^(19|20)[0-9]{2}$' and {{ month }} ~ '^(0?[1-9]|1[0-2])$'
            and {{ day }} ~ '^(0?[1-9]|[12][0-9]|3[01])$'
            then cast({{ year }} || '-' || {{ month }} || '-01' as date) + (cast({{ day }} as integer) - 1)
    end
{%- endmacro %}

{# The names of the columns whose text is no number, each with a space before it. #}
{% macro unreadable(columns) -%}
    {%- for column in columns %}
    case when {{ given(column) }} is not null and {{ integer_of(column) }} is null then ' {{ column }}' else '' end
    {%- if not loop.last %} || {% endif %}
    {%- endfor %}
{%- endmacro %}
