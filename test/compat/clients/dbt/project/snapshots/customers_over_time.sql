{% snapshot customers_over_time %}
{{ config(target_schema=target.schema, unique_key='id', strategy='check', check_cols=['name', 'active']) }}
select * from {{ ref('customers') }}
{% endsnapshot %}
