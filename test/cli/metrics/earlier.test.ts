import { describe, expect, it } from 'vitest';
import { readEarlier } from '../../../src/cli/metrics/earlier.ts';

const NOW = 1_800_000_000;

function sample(metric: string, value: string, command = 'retrieve'): string {
  return `swingsnap_${metric}{command="${command}",name="night"} ${value}`;
}

describe('an earlier metrics file', () => {
  it('gives the values of every command', () => {
    const text = [
      '# HELP swingsnap_height Of the last.',
      '# TYPE swingsnap_height gauge',
      sample('height', '7'),
      sample('height', '1e+22', 'verify'),
      '',
      sample('size_bytes', '12.5'),
      '',
    ].join('\n');
    expect(readEarlier(text, NOW)).toEqual(
      new Map([
        [
          'retrieve',
          new Map([
            ['swingsnap_height', 7],
            ['swingsnap_size_bytes', 12.5],
          ]),
        ],
        ['verify', new Map([['swingsnap_height', 1e22]])],
      ]),
    );
  });

  it.each([
    'node_load1 0.5',
    `${sample('height', '7')}\n# HELP node_load1 Load.\nnode_load1 0.5`,
    'root:x:0:0:root:/root:/bin/bash',
    '\0',
    ' ',
  ])('is that of another program if any line is: %j', (text) => {
    expect(readEarlier(text, NOW)).toBeUndefined();
  });

  it.each(['', '\n'])('says nothing if it is empty: %j', (text) => {
    expect(readEarlier(text, NOW)).toEqual(new Map());
  });

  it.each(['NaN', '+Inf', '-1', '', '0x', '1 2', '9'.repeat(41)])(
    'may not have the value %j',
    (value) => {
      const found = readEarlier(sample('last_run_exit_code', value), NOW);
      expect([...(found?.get('retrieve') ?? [])]).toEqual([]);
    },
  );

  it('may not know of a success to come', () => {
    const metric = 'last_success_timestamp_seconds';
    const read = (value: number) =>
      readEarlier(sample(metric, String(value)), NOW)
        ?.get('retrieve')
        ?.get(`swingsnap_${metric}`);
    expect(read(NOW - 5)).toBe(NOW - 5);
    expect(read(NOW + 60)).toBe(NOW + 60);
    expect(read(NOW + 86_400)).toBeUndefined();
  });

  it.each(['RETRIEVE', 're"}', '', 'a'.repeat(41), '__proto__'])(
    'may not have a command of the name %j',
    (command) => {
      expect(readEarlier(sample('height', '7', command), NOW)).toEqual(new Map());
    },
  );
});
