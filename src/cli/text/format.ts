/** Formats quantities for people. Bytes are decimal (1 kB = 1000 B), as on disks and networks. */

const BYTE_UNITS = ['kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** `512 B`, `1.2 GB`, `143 MB`: three digits at most. */
export function formatBytes(bytes: number): string {
  let text = `${Math.round(bytes)} B`;
  let value = bytes;
  for (const unit of BYTE_UNITS) {
    // 999.6 would round to four digits, so it is shown in the next unit.
    if (value < 999.5) break;
    value /= 1000;
    text = `${value < 99.95 ? value.toFixed(1) : String(Math.round(value))} ${unit}`;
  }
  return text;
}

/** `85.0 MB/s`. `ms` must be above 0. */
export function formatRate(bytes: number, ms: number): string {
  return `${formatBytes((bytes * 1000) / ms)}/s`;
}

/** `0.4s`, `45s`, `3m 20s`, `2h 05m`, `3d 04h`: two units at most. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (ms < 9950) return `${(ms / 1000).toFixed(1)}s`;
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${twoDigits(seconds % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${twoDigits(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d ${twoDigits(hours % 24)}h`;
}

/** `1.2 GB of 2.8 GB`, or `1.2 GB` if the total is unknown, or was estimated too low. */
export function formatOf(
  done: number,
  total: number | undefined,
  format: (value: number) => string,
): string {
  return total === undefined || total < done ? format(done) : `${format(done)} of ${format(total)}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
