{{ config(materialized='table') }}
with counted as (
  select customer_id, count(*) as orders, sum(amount)::numeric(12,2) as total from {{ ref('staged_orders') }} group by 1
)
select c.id as customer_id, c.name, coalesce(o.orders, 0) as orders, o.total
from {{ ref('customers') }} c left join counted o on o.customer_id = c.id
