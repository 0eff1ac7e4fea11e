{# incremental_strategy: partition. Replaces the rows of the run's partition, also where there are none any more. #}
{% macro get_incremental_partition_sql(arg_dict) %}
    {%- set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) -%}
    delete from {{ arg_dict["target_relation"] }} where {{ var("in_partition", "true") }};
    insert into {{ arg_dict["target_relation"] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict["temp_relation"] }}
{% endmacro %}

{# True of the run's rows in landed tables and staging models. #}
{% macro of_this_partition(column="partition_key") -%}
    {% if var("partition_key", none) %}{{ column }} = '{{ var("partition_key") }}'{% else %}true{% endif %}
{%- endmacro %}
