/** Per column of a Parquet file, as Iceberg's manifest wants them. Bounds are Iceberg's single-value binary form. */
export interface FileColumnStats {
  readonly fieldId: number;
  readonly columnBytes: number;
  readonly valueCount: number;
  readonly nullCount: number;
  readonly nanCount: number | null;
  readonly lower: Uint8Array | null;
  readonly upper: Uint8Array | null;
}
