import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SCHEMA } from '../../../../src/formats/swing-store/layout.ts';
import { kvLines } from '../../../../src/formats/swing-store/read/kv/kv-lines.ts';
import { openDatabase, type Database } from '../../../../src/io/sqlite.ts';

let db: Database;
beforeEach(() => {
  db = openDatabase(':memory:');
  db.exec(SCHEMA);
});
afterEach(() => db.close());

function set(key: string | Buffer, value: string | Buffer | null): void {
  db.prepare('INSERT INTO kvStore VALUES (CAST(? AS TEXT), CAST(? AS TEXT))').run(key, value);
}

/** The lines that the reference exporter makes, row by row in JavaScript. */
function expectedLines(): string {
  const rows = db.prepare('SELECT key, value FROM kvStore ORDER BY key').raw().all();
  return (rows as [string, string | null][])
    .filter(([key]) => !key.startsWith('local.') && !key.startsWith('host.'))
    .map(([key, value]) => `${JSON.stringify([`kv.${key}`, value])}\n`)
    .join('');
}

function expectSame(): Buffer[] {
  const blocks = [...kvLines(db)].map((block) => Buffer.from(block));
  for (const block of blocks) expect(block.at(-1)).toBe(0x0a);
  expect(Buffer.concat(blocks).toString() === expectedLines()).toBe(true);
  return blocks;
}

describe('kvLines', () => {
  it('yields nothing for a store without consensus keys', () => {
    set('host.height', '5');
    set('local.a', 'b');
    expect(expectSame()).toEqual([]);
  });

  it('spells every character as JSON.stringify does, in keys and values', () => {
    for (let code = 0; code < 0x3000; code += 1) {
      const character = String.fromCodePoint(code);
      set(`k${character}`, `${character}${character}`);
    }
    for (const character of ['\ue000', '\uffff', '\u{10000}', '😀']) set(character, character);
    expectSame();
  });

  it('omits the host keys and the local keys, but none of their neighbours', () => {
    for (const prefix of ['host', 'local']) {
      for (const end of ['', '-', '.', '.a', '.\u{10ffff}', '/', '/a', '0']) {
        set(`${prefix}${end}`, 'value');
      }
    }
    set('', 'the empty key');
    const text = Buffer.concat(expectSame()).toString();
    expect(text.split('\n')).toHaveLength(12);
  });

  it('keeps all rows, and their order, if keys are not UTF-8 or hold NUL', () => {
    for (const hex of [
      '61',
      '6100',
      '610000',
      '61ff',
      '61ff00',
      'c3',
      'e282',
      'eda080',
      'efbfbd',
      'ff',
    ]) {
      set(Buffer.from(hex, 'hex'), Buffer.from(`22${hex}5c`, 'hex'));
    }
    expect(Buffer.concat(expectSame()).toString()).toContain('\ufffd');
  });

  it('writes a missing value as null', () => {
    set('a', '1');
    set('b', null);
    set('c', '3');
    expectSame();
    const canonical = Buffer.concat([...kvLines(db, { withNulls: false })]).toString();
    expect(canonical).toBe('["kv.a","1"]\n["kv.c","3"]\n');
  });

  it('keeps blocks small, however many large values are adjacent', () => {
    const large = '"'.repeat(100_000);
    for (let i = 0; i < 3_000; i += 1) set(`small${i}`, `value ${i}`);
    for (let i = 0; i < 40; i += 1) set(`tall${i}`, i % 7 === 3 ? 'small' : large);
    set('a', large);
    set('zz', large);
    const blocks = expectSame();
    expect(Math.max(...blocks.map((block) => block.length))).toBeLessThan(2 * large.length + 100);
    expect(blocks.length).toBeLessThan(100);
  });
});
