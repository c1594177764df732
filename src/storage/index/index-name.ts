/**
 * Names of a table's indexes over files. That of its key is called as the table; further ones, of UNIQUE constraints, have the field
 * ids of their columns behind that. Hashes of values are made with the table's secret in all of them.
 */
export const indexName = (tableUuid: string, fieldIds: readonly number[]): string => [tableUuid, ...fieldIds].join('.');

export const tableOfIndex = (name: string): string => name.split('.')[0]!;
