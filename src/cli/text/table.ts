/** Columns of text. */
import { formatLine } from './printable.ts';

export interface Column {
  readonly head: string;
  /** Numbers are easier to compare at the right. */
  readonly side?: 'right';
}

/** The head and the rows, in columns. Cells may hold any text. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string[] {
  const lines = [columns.map(({ head }) => head), ...rows.map((row) => row.map(formatLine))];
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  return lines.map((line) =>
    line
      .map((cell, at) => {
        const width = widths[at] ?? 0;
        return columns[at]?.side === 'right' ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}
