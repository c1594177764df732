/**
 * SQL expressions that turn a DuckDB value into PostgreSQL's text form, for types that no column can have:
 * arrays `{1,NULL,"a b"}`, records `(1,,"a,b")`, and their elements.
 */
import duckdb from '@duckdb/node-bindings';

/** `depth` names the lambda's variable. */
export function textExpression(value: string, type: duckdb.LogicalType, depth = 0): string {
  const T = duckdb.Type;
  switch (duckdb.get_type_id(type)) {
    case T.VARCHAR:
      return value;
    case T.FLOAT:
    case T.DOUBLE:
      return `CASE WHEN isnan(${value}) THEN 'NaN' WHEN isinf(${value}) THEN CASE WHEN ${value} > 0 THEN 'Infinity' ELSE '-Infinity' END ELSE regexp_replace(CAST(${value} AS VARCHAR), '\\.0$', '') END`;
    case T.DECIMAL:
      // Without a digit before the point its type has none to write.
      if (duckdb.decimal_width(type) > duckdb.decimal_scale(type)) return `CAST(${value} AS VARCHAR)`;
      return `arka_numeric(CAST(${value} AS VARCHAR))`;
    case T.BLOB:
      return `'\\x' || lower(hex(${value}))`;
    case T.INTERVAL:
      return `arka_interval_text(${value})`;
    case T.LIST:
      return listExpression(value, duckdb.list_type_child_type(type), depth);
    case T.ARRAY:
      return listExpression(`${value}[:]`, duckdb.array_type_child_type(type), depth);
    case T.STRUCT: {
      const fields: string[] = [];
      for (let i = 0; i < duckdb.struct_type_child_count(type); i++) {
        const field = `struct_extract_at(${value}, ${i + 1})`;
        fields.push(
          `coalesce(${quoted(nested(field, duckdb.struct_type_child_type(type, i), depth), `'(["(),\\\\\\s]|^$)'`, '""')}, '')`,
        );
      }
      return `CASE WHEN ${value} IS NOT NULL THEN '(' || ${fields.join(` || ',' || `)} || ')' END`;
    }
    default:
      return `CAST(${value} AS VARCHAR)`;
  }
}

/** Within an array or record a boolean is t or f. */
function nested(value: string, type: duckdb.LogicalType, depth: number): string {
  if (duckdb.get_type_id(type) === duckdb.Type.BOOLEAN)
    return `CASE WHEN ${value} THEN 't' WHEN NOT ${value} THEN 'f' END`;
  return textExpression(value, type, depth);
}

function listExpression(value: string, child: duckdb.LogicalType, depth: number): string {
  const element = `e${depth}`;
  const id = duckdb.get_type_id(child);
  const text = nested(element, child, depth + 1);
  // An inner array's braces are its own; every other element is quoted where it must be.
  const shown =
    id === duckdb.Type.LIST || id === duckdb.Type.ARRAY
      ? text
      : quoted(text, `'(["{},\\\\\\s]|^$|^[nN][uU][lL][lL]$)'`, '\\"');
  const items = `list_transform(${value}, lambda ${element}: CASE WHEN ${element} IS NULL THEN 'NULL' ELSE ${shown} END)`;
  return `CASE WHEN ${value} IS NOT NULL THEN '{' || coalesce(array_to_string(${items}, ','), '') || '}' END`;
}

function quoted(text: string, when: string, quote: string): string {
  return `CASE WHEN regexp_matches(${text}, ${when}) THEN '"' || replace(replace(${text}, '\\', '\\\\'), '"', '${quote}') || '"' ELSE ${text} END`;
}
