import { describe, expect, it } from 'vitest';
import { formatBytes, formatDuration, formatOf, formatRate } from '../../../src/cli/text/format.ts';

describe('quantities', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [99_940, '99.9 kB'],
    [99_960, '100 kB'],
    [999_499, '999 kB'],
    [999_500, '1.0 MB'],
    [1_234_000_000, '1.2 GB'],
    [5e18, '5000 PB'],
  ])('shows %d bytes as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([
    [0, '0.0s'],
    [9949, '9.9s'],
    [9950, '10s'],
    [59_499, '59s'],
    [59_500, '1m 00s'],
    [200_000, '3m 20s'],
    [7_500_000, '2h 05m'],
    [273_600_000, '3d 04h'],
  ])('shows %d ms as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it('shows a rate in bytes per second', () => {
    expect(formatRate(170_000_000, 2000)).toBe('85.0 MB/s');
  });

  it('shows an amount of a total, unless that is unknown or too low', () => {
    expect(formatOf(1200, 2800, formatBytes)).toBe('1.2 kB of 2.8 kB');
    expect(formatOf(3, 3, String)).toBe('3 of 3');
    expect(formatOf(4, 3, String)).toBe('4');
    expect(formatOf(4, undefined, String)).toBe('4');
  });
});
