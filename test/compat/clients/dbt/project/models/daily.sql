{{ config(materialized='incremental', unique_key='day') }}
select day, count(*) as orders from {{ ref('staged_orders') }}
{% if is_incremental() %} where day >= (select max(day) from {{ this }}) {% endif %}
group by day
