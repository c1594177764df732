/** A file that the engine has written for a partition of a table, as a segment: what a manifest and Iceberg say of it. */
import type { PartitionValue, Segment } from '../storage/iceberg/lake-api.ts';
import { dataFileLocation, partitionPath } from '../storage/iceberg/paths.ts';
import type { Table } from '../storage/table.ts';
import type { WrittenFile } from '../storage/unit-engine.ts';
import type { Lsn } from '../table-def.ts';
import { icebergType } from '../types/pg-type.ts';

export function segmentOf(
  table: Table,
  written: WrittenFile,
  partition: readonly PartitionValue[],
  lsnFrom: Lsn,
  lsnTo: Lsn,
): Segment {
  const types = table.def.partition.map((field) =>
    icebergType(table.def.columns.find((column) => column.fieldId === field.sourceId)!.type),
  );
  const folder = partitionPath(table.def.partition, types, partition);
  return {
    location: dataFileLocation(table.location, folder, written.path.slice(written.path.lastIndexOf('/') + 1)),
    path: written.path,
    rows: written.rows,
    bytes: written.bytes,
    columns: written.columns,
    partition,
    specId: table.specId,
    lsnFrom,
    lsnTo,
  };
}
