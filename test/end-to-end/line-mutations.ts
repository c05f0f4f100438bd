/** Changes of the export data as text: lines, JSON, order, repetition, deletion. */
import { REFERENCE_KEEPS_HALVES } from './exceptions.ts';
import type { ExportFiles } from './export-files.ts';
import type { Mutation } from './mutation.ts';

const accepted = (what: string, change: (files: ExportFiles) => void): Mutation => ({
  what,
  verdict: 'accepted',
  change,
});
const refused = (what: string, change: (files: ExportFiles) => void): Mutation => ({
  what,
  verdict: 'refused',
  change,
});
const halved = (what: string, change: (files: ExportFiles) => void): Mutation => ({
  what,
  ...(REFERENCE_KEEPS_HALVES
    ? { exception: 'half a surrogate pair on Node 20' }
    : { verdict: 'accepted' }),
  change,
});
const appended = (verdict: 'accepted' | 'refused', ...lines: string[]): Mutation => ({
  what: `appended ${lines.map((line) => JSON.stringify(line)).join(' ')}`,
  verdict,
  change: (f) => {
    f.append(...lines);
  },
});
const prepended = (verdict: 'accepted' | 'refused', ...lines: string[]): Mutation => ({
  what: `prepended ${lines.map((line) => JSON.stringify(line)).join(' ')}`,
  verdict,
  change: (f) => {
    f.prepend(...lines);
  },
});
const text = (f: ExportFiles, change: (data: string) => string): void => {
  f.data = change(f.data.toString());
};

const order: Mutation[] = [
  accepted('lines reversed', (f) => {
    f.lines = f.lines.reverse();
  }),
  accepted('lines sorted as text', (f) => {
    f.lines = f.lines.sort();
  }),
  accepted('records before keys', (f) => {
    const keys = f.lines.filter((line) => line.startsWith('["kv.'));
    f.lines = [...f.lines.filter((line) => !keys.includes(line)), ...keys];
  }),
  accepted('.current before its record', (f) => {
    const line = f.lines.find((l) => l.startsWith('["snapshot.v1.current'))!;
    f.lines = [line, ...f.lines.filter((l) => l !== line)];
  }),
  accepted('all lines twice', (f) => {
    f.lines = [...f.lines, ...f.lines];
  }),
  accepted('each line twice in a row', (f) => {
    f.lines = f.lines.flatMap((line) => [line, line]);
  }),
];

const spelling: Mutation[] = [
  accepted('no final newline', (f) => {
    f.data = f.data.subarray(0, -1);
  }),
  accepted('CRLF', (f) => {
    text(f, (data) => data.replaceAll('\n', '\r\n'));
  }),
  accepted('spaces at line ends', (f) => {
    text(f, (data) => data.replaceAll('\n', ' \t\n'));
  }),
  accepted('spaces at line starts', (f) => {
    f.lines = f.lines.map((line) => ` \t\r${line}`);
  }),
  accepted('spaces after commas', (f) => {
    f.lines = f.lines.map((line) => line.replace('","', '" , "'));
  }),
  refused('no-break spaces at line ends', (f) => {
    text(f, (data) => data.replaceAll('\n', '\u00a0\n'));
  }),
  refused('a blank line at the end', (f) => {
    text(f, (data) => `${data}\n`);
  }),
  refused('a line of spaces', (f) => {
    text(f, (data) => `${data}  \n`);
  }),
  refused('spaces after the final newline', (f) => {
    text(f, (data) => `${data}  `);
  }),
  refused('a blank line at the start', (f) => {
    text(f, (data) => `\n${data}`);
  }),
  refused('a byte order mark', (f) => {
    text(f, (data) => `\ufeff${data}`);
  }),
  refused('cut in the middle of a line', (f) => {
    f.data = f.data.subarray(0, -10);
  }),
  refused('ends in the middle of a character', (f) => {
    f.data = Buffer.concat([f.data.subarray(0, -1), Buffer.from([0xe2])]);
  }),
  refused('emptied', (f) => {
    f.data = '';
  }),
  refused('a NUL byte at the end', (f) => {
    text(f, (data) => `${data}\0`);
  }),
  accepted('all non-ASCII escaped', (f) => {
    text(f, (data) =>
      data.replaceAll(
        /[^\n\u0020-\u007e]/g,
        (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
      ),
    );
  }),
  accepted('letters and slashes escaped', (f) => {
    f.append('["kv.\\u0061\\/","\\u0041\\/"]', '["k\\u0076.zz","1"]');
  }),
  accepted('U+2028 and U+2029 escaped, as Go does', (f) => {
    text(f, (data) => data.replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029'));
  }),
  accepted('upper-case escapes', (f) => {
    f.append('["kv.esc","\\u001F\\uFFFD\\uD83D\\uDE00"]');
  }),
  halved('a lone surrogate in a value', (f) => {
    f.append('["kv.lone","x\\ud800y"]');
  }),
  halved('a lone surrogate in a key', (f) => {
    f.append('["kv.x\\udc00","1"]');
  }),
  halved('two lone surrogates that become one key', (f) => {
    f.append('["kv.x\\udc00","1"]', '["kv.x\\ud800","2"]', '["kv.x\ufffd","3"]');
  }),
  halved('a lone surrogate deleted by another', (f) => {
    f.append('["kv.x\\udc00","1"]', '["kv.x\\ud800",null]');
  }),
  refused('an unknown key that another lone surrogate does not delete', (f) => {
    f.append('["x\\udc00","1"]', '["x\\ud800",null]');
  }),
  accepted('an unknown key that the same lone surrogate deletes', (f) => {
    f.append('["x\\udc00","1"]', '["x\\udc00",null]');
  }),
  accepted('invalid UTF-8 in a value', (f) => {
    f.data = Buffer.concat([
      f.data,
      Buffer.from('["kv.invalid","'),
      Buffer.from([0xff, 0xc0, 0xaf, 0xed, 0xa0, 0x80, 0xe2, 0x82]),
      Buffer.from('"]\n'),
    ]);
  }),
  accepted('invalid UTF-8 in a key', (f) => {
    f.data = Buffer.concat([
      Buffer.from('["kv.'),
      Buffer.from([0xfe]),
      Buffer.from('","1"]\n'),
      f.data,
    ]);
  }),
  refused('single quotes', (f) => {
    f.append("['kv.q','1']");
  }),
  refused('a comment', (f) => {
    f.append('["kv.q","1"] // why');
  }),
  refused('two entries in one line', (f) => {
    f.append('["kv.q","1"]["kv.r","1"]');
  }),
  refused('an entry over two lines', (f) => {
    f.append('["kv.q",', '"1"]');
  }),
  refused('a raw control character', (f) => {
    f.append('["kv.q","\u0001"]');
  }),
];

const shapes: Mutation[] = [
  appended('accepted', 'null'),
  prepended('accepted', 'null', ' null '),
  appended('accepted', '["kv.new"]'),
  appended('accepted', '["kv.a"]'),
  appended('accepted', '["kv.a",null]'),
  appended('accepted', '["kv.a",null]', '["kv.a","again"]'),
  appended('accepted', '["kv.a","1","2"]'),
  appended('accepted', '["kv.a",null,"2"]'),
  appended('accepted', '["kv.never",null]'),
  appended('refused', '[]'),
  appended('refused', '{}'),
  appended('refused', '{"key":"kv.a","value":"1"}'),
  appended('refused', '5'),
  appended('refused', 'true'),
  appended('refused', 'false'),
  appended('refused', '0'),
  appended('refused', '""'),
  appended('accepted', '"k"'),
  appended('refused', '"kv"'),
  appended('accepted', '"kv"', '"k"'),
  appended('accepted', '["k","v"]', '"k"'),
  appended('refused', '"snapshot.v1.9"'),
  appended('accepted', '"\u{1f600}"'),
  appended('refused', '[null,"1"]'),
  appended('refused', '[5,"1"]'),
  appended('refused', '[["kv.a"],"1"]'),
  appended('refused', '["kv.a",5]'),
  appended('refused', '["kv.a",true]'),
  appended('refused', '["kv.a",{}]'),
  appended('refused', '["kv.a",["1"]]'),
  appended('refused', '["kv.a",5]', '["kv.a","1"]'),
  appended('accepted', '["snapshot.v1.current",5]'),
  appended('accepted', '["snapshot.v1.current",{}]'),
  appended('accepted', '["snapshot.v9.current",["x"]]'),
  appended('refused', '["snapshot.v9.9",5]'),
  appended('refused', '["snapshot.v9.9",true]'),
  appended('refused', '["snapshot.v9.9",{}]'),
  appended('accepted', '["snapshot.v9.9",5]', '["snapshot.v9.9"]'),
  appended('accepted', '["module.x",{}]', '["module.x",null]'),
  appended('refused', '["bundle.5",5]'),
];

const keys: Mutation[] = [
  appended('accepted', '["kv","the empty key"]'),
  appended('accepted', '["kv.","the empty key"]'),
  appended('accepted', '["kv","one"]', '["kv.","two"]'),
  appended('accepted', '["kv.","one"]', '["kv",null]'),
  appended('accepted', '["kv..x","1"]'),
  appended('accepted', '["kv.kv.x","1"]'),
  appended('refused', '["","1"]'),
  appended('accepted', '[""]'),
  appended('refused', '["kvx","1"]'),
  appended('refused', '["KV.x","1"]'),
  appended('refused', '[" kv.x","1"]'),
  appended('refused', '["kv.host.x","1"]'),
  appended('refused', '["kv.host.x",null]'),
  appended('refused', '["kv.host.x"]'),
  appended('refused', '["kv.host.","1"]'),
  appended('refused', '["kv.host.height","5"]'),
  appended('refused', '["kv.host.x","1"]', '["kv.host.x",null]'),
  appended('refused', '["kv.\\u0068ost.x","1"]'),
  appended('accepted', '["kv.host","1"]'),
  appended('accepted', '["kv.hostx.y","1"]'),
  appended('accepted', '["kv.x","[\\"kv.host.y\\",\\"1\\"]"]'),
  appended('accepted', '["kv.local.x","1"]'),
  appended('accepted', '["kv.local.x","1"]', '["kv.local.x",null]'),
  appended('refused', '["host.x","1"]'),
  appended('refused', '["local.x","1"]'),
  appended('refused', '["module.x","1"]'),
  appended('accepted', '["module.x",null]'),
  appended('accepted', '["module.x"]'),
  appended('accepted', '["module.x","1"]', '["module.x",null]'),
  appended('refused', '["module.x",null]', '["module.x","1"]'),
  appended('refused', '["snapshots.v1.1","1"]'),
  appended('refused', '["export.x","1"]'),
  prepended('accepted', '["kv.a","first, and then again"]'),
  appended('accepted', '["kv.a","last"]'),
  appended('accepted', '["kv.a","1"]'),
  refused('a host key in its canonical place', (f) => {
    const at = f.lines.findIndex((line) => line > '["kv.host.x","1"]');
    f.lines = [...f.lines.slice(0, at), '["kv.host.x","1"]', ...f.lines.slice(at)];
  }),
  accepted('a local key in its canonical place', (f) => {
    const at = f.lines.findIndex((line) => line > '["kv.local.x","1"]');
    f.lines = [...f.lines.slice(0, at), '["kv.local.x","1"]', ...f.lines.slice(at)];
  }),
];

export const lineMutations: readonly Mutation[] = [...order, ...spelling, ...shapes, ...keys];
