/** Compartment maps, policies and precompiled modules, each with one peculiarity, for `bundle-cases.ts`. */
import { createHash } from 'node:crypto';

export interface ArchiveContent {
  /** An object, or JSON text if an object cannot express it. */
  readonly map: object | string | null;
  /** Text, or an object to be written as JSON. */
  readonly files: Readonly<Record<string, string | object>>;
}

const text = { location: 'a', parser: 'text' };
const imports = (...specifiers: string[]): object => ({ imports: specifiers, exports: [] });
const mjs = (location: string): object => ({ location, parser: 'pre-mjs-json' });
const sha512 = createHash('sha512').update('text').digest('hex');

const compartment = (name: string, fields: object): object => ({
  location: name,
  name,
  label: name,
  ...fields,
});

/** One compartment `c` with the entry `./a`, which is the file `c/a`. */
const one = (
  modules: unknown,
  fields: object = {},
  files: ArchiveContent['files'] = { 'c/a': 'text' },
  entry = './a',
): ArchiveContent => ({
  map: {
    entry: { compartment: 'c', module: entry },
    compartments: { c: compartment('c', { modules, ...fields }) },
  },
  files,
});

/** A sound map with other properties at its top. */
const top = (fields: object): ArchiveContent => {
  const { map, files } = one({ './a': text });
  return { map: { ...(typeof map === 'object' ? map : {}), ...fields }, files };
};

/** `./a` of compartment `c` imports `specifier`. */
const importing = (
  specifier: string,
  modules: object = {},
  fields: object = {},
  files: ArchiveContent['files'] = {},
): ArchiveContent =>
  one({ './a': mjs('a'), ...modules }, fields, { 'c/a': imports(specifier), ...files });

/** Compartments `c` and `d`: `./a` of `c` imports `specifier`, and `d` holds `.`, `./x` and `./a`. */
const pair = (specifier: string, c: object, d: object = {}): ArchiveContent => ({
  map: {
    entry: { compartment: 'c', module: './a' },
    compartments: {
      c: compartment('c', { modules: { './a': mjs('a') }, ...c }),
      d: compartment('d', {
        modules: {
          '.': { location: 'dot', parser: 'text' },
          './x': { location: 'x', parser: 'text' },
        },
        ...d,
      }),
    },
  },
  files: { 'c/a': imports(specifier), 'd/x': 'text' },
});

const link = (module: string, name = 'c'): object => ({ compartment: name, module });
const b = { './b': { location: 'b', parser: 'text' } };
const bFile = { 'c/b': 'text' };

export const COMPARTMENT_MAPS: Readonly<Record<string, ArchiveContent>> = {
  ...named('map', {
    sound: one({ './a': text }),
    'with tags': top({ tags: ['a', 'b'] }),
    'with null tags': top({ tags: null }),
    'with tags of numbers': top({ tags: [1] }),
    'with tags that are an object': top({ tags: {} }),
    'with more fields': top({ more: 1 }),
    'with a toString': top({ toString: 1 }),
    'without entry': top({ entry: undefined }),
    'with a null entry': top({ entry: null }),
    'with an array for an entry': top({ entry: ['c', './a'] }),
    'with more in its entry': top({ entry: { compartment: 'c', module: './a', more: 1 } }),
    'with an entry of no compartment': top({ entry: { module: './a' } }),
    'with an entry of no module': top({ entry: { compartment: 'c' } }),
    'with an entry of a missing compartment': top({ entry: { compartment: 'd', module: './a' } }),
    'with an entry of an inherited compartment': top({
      entry: { compartment: 'toString', module: './a' },
    }),
    'with an entry of a missing module': top({ entry: { compartment: 'c', module: './b' } }),
    'without compartments': top({ compartments: undefined }),
    'with null compartments': top({ compartments: null }),
    'with text for compartments': top({ compartments: 'c' }),
    'with empty text for compartments': top({ compartments: '' }),
    'with an array of compartments': top({
      entry: { compartment: '0', module: './a' },
      compartments: [{ location: '0', name: 'c', label: 'c', modules: { './a': text } }],
    }),
    'with a null compartment': top({ compartments: { c: null } }),
    'with an array for a compartment': top({ compartments: { c: [] } }),
    'with an unused compartment': top({
      compartments: { c: compartment('c', { modules: { './a': text } }), d: compartment('d', {}) },
    }),
    'with a byte order mark': {
      map: `\ufeff${json(one({ './a': text }))}`,
      files: { 'c/a': 'text' },
    },
    'that is null': { map: null, files: { 'c/a': 'text' } },
    'that is an array': { map: [], files: { 'c/a': 'text' } },
    'that is not JSON': { map: '{', files: { 'c/a': 'text' } },
    'with __proto__': {
      map: json(one({ './a': text })).replace('{', '{"__proto__":{},'),
      files: { 'c/a': 'text' },
    },
    'with the entry twice': {
      map: json(one({ './a': text })).replace('{', '{"entry":1,'),
      files: { 'c/a': 'text' },
    },
    'with bytes that are not UTF-8 in its files': one({ './a': text }, {}, { 'c/a': '\ud800' }),
  }),
  ...named('compartment', {
    'with more fields': one({ './a': text }, { more: 1 }),
    'with retained': one({ './a': text }, { retained: true }),
    'without label': one({ './a': text }, { label: undefined }),
    'with a null name': one({ './a': text }, { name: null }),
    'named ..': one({ './a': text }, { name: '..' }),
    'named with a path to ..': one({ './a': text }, { name: 'a/..' }),
    'named with an empty name': one({ './a': text }, { name: '' }),
    'named with a scope': one({ './a': text }, { name: '@scope/c' }),
    'without location': one({ './a': text }, { location: undefined }),
    'located in a missing compartment': one({ './a': text }, { location: 'd' }, { 'd/a': 'text' }),
    'located in an inherited one': one({ './a': text }, { location: 'toString' }),
    'located in the prototype': one({ './a': text }, { location: '__proto__' }),
    'without modules': one(undefined),
    'with null modules': one(null),
    'with a number for modules': one(5),
    'with true for modules': one(true),
    'with text for modules': one('x'),
    'with an array of modules': one([text], {}, { 'c/a': 'text' }, '0'),
    'with an array of modules by length': one([text], {}, { 'c/a': 'text' }, 'length'),
    'with known parsers': one({ './a': text }, { parsers: { js: 'pre-mjs-json', txt: 'text' } }),
    'with an unknown parser': one({ './a': text }, { parsers: { js: 'mjs' } }),
    'with an inherited parser': one({ './a': text }, { parsers: { js: 'toString' } }),
    'with a parser for toString': one({ './a': text }, { parsers: { toString: 'text' } }),
    'with a parser for valueOf': one({ './a': text }, { parsers: { valueOf: 'text' } }),
    'with null parsers': one({ './a': text }, { parsers: null }),
    'with an array of parsers': one({ './a': text }, { parsers: [] }),
    'with a number for a parser': one({ './a': text }, { parsers: { js: 1 } }),
    'with types': one({ './a': text }, { types: { './a': 'nonsense' } }),
    'with types toString': one({ './a': text }, { types: { toString: 'text' } }),
    'with a number for a type': one({ './a': text }, { types: { './a': 1 } }),
    'with null types': one({ './a': text }, { types: null }),
    'with a scope': one({ './a': text }, { scopes: { d: { compartment: 'd' } } }),
    'with a scope of no compartment': one({ './a': text }, { scopes: { d: {} } }),
    'with a scope of more': one({ './a': text }, { scopes: { d: { compartment: 'c', a: 1 } } }),
    'with a null scope': one({ './a': text }, { scopes: { d: null } }),
    'with null scopes': one({ './a': text }, { scopes: null }),
    'with a scope of its entry': one({ './a': text }, { scopes: { './a': { compartment: 'c' } } }),
    'with a scope of everything': one({ './a': text }, { scopes: { '.': { compartment: 'c' } } }),
  }),
  ...named('module', {
    'with a hash': one({ './a': { ...text, sha512 } }),
    'with another hash': one({ './a': { ...text, sha512: sha512.replace(/./, 'x') } }),
    'with an upper-case hash': one({ './a': { ...text, sha512: sha512.toUpperCase() } }),
    'with an empty hash': one({ './a': { ...text, sha512: '' } }),
    'with a null hash': one({ './a': { ...text, sha512: null } }),
    'of no parser': one({ './a': { location: 'a' } }),
    'of a null parser': one({ './a': { location: 'a', parser: null } }),
    'of no location': one({ './a': { parser: 'text' } }),
    'of an unknown parser': one({ './a': { location: 'a', parser: 'nonsense' } }),
    'of an inherited parser': one({ './a': { location: 'a', parser: 'toString' } }),
    'of original source': one({ './a': { location: 'a', parser: 'mjs' } }),
    'of original script': one({ './a': { location: 'a', parser: 'cjs' } }),
    'of bytes': one({ './a': { location: 'a', parser: 'bytes' } }),
    'of invalid JSON': one({ './a': { location: 'a', parser: 'json' } }),
    'with more fields': one({ './a': { ...text, more: 1 } }),
    'with retained': one({ './a': { ...text, retained: true } }),
    'that is null': one({ './a': null }),
    'that is an array': one({ './a': [] }),
    'that is text': one({ './a': 'a' }),
    'that is empty': one({ './a': {} }),
    'in the directory above': one({ './a': { location: '../c/a', parser: 'text' } }),
    'of a path that is normalised': one({ './a': { location: './a', parser: 'text' } }),
    'of a file with dots': one(
      { './a': { location: '../c/a', parser: 'text' } },
      {},
      { 'c/../c/a': 'text' },
    ),
    'that is missing and unused': one({ './a': text, ...b }),
    'that shares a file': importing(
      './b',
      { ...b, './d': { location: 'b', parser: 'text' } },
      {},
      bFile,
    ),
    'that is the same file in two languages': importing('./b', { './b': { ...text } }),
    'that is an exit': one({ './a': { exit: 'fs' } }),
    'that is an exit and unused': one({ './a': text, fs: { exit: 'fs' } }),
    'that is a null exit': one({ './a': text, fs: { exit: null } }),
    'that is an exit with more': one({ './a': text, fs: { exit: 'fs', more: 1 } }),
    'that is an exit in a scope': pair('d/x', {
      scopes: { d: { compartment: 'd' } },
      modules: { './a': mjs('a'), 'd/x': { exit: 'fs' } },
    }),
    'that is a deferred error': importing('dep', { dep: { deferredError: 'later' } }),
    'that is a deferred error with more': importing('dep', {
      dep: { deferredError: 'later', more: { anything: [1] } },
    }),
    'that is a deferred error with retained text': importing('dep', {
      dep: { deferredError: 'later', retained: 'x', sha512: 3 },
    }),
    'that is a deferred error with toString': importing('dep', {
      dep: { deferredError: 'later', toString: 'x' },
    }),
    'that is a deferred error with valueOf': importing('dep', {
      dep: { deferredError: 'later', valueOf: 'x' },
    }),
    'that is a null deferred error': importing('dep', { dep: { deferredError: null } }),
    'that is deferred, with its file unused': one({ './a': { deferredError: 'later' } }),
    'of its package by dot': one({ '.': text }, {}, { 'c/a': 'text' }, '.'),
    'of its package by dot with imports': one(
      { '.': mjs('a'), ...b },
      {},
      { 'c/a': imports('./b'), ...bFile },
      '.',
    ),
    'of a bare name': one({ a: text }, {}, { 'c/a': 'text' }, 'a'),
    'of an absolute name': one({ '/a': text }, {}, { 'c/a': 'text' }, '/a'),
    'of an empty name': one({ '': text }, {}, { 'c/a': 'text' }, ''),
    'of a name above': one({ '../a': text }, {}, { 'c/a': 'text' }, '../a'),
    'of a name that goes above': one({ './../a': text }, {}, { 'c/a': 'text' }, './../a'),
    'of a name that goes down and up': one({ './b/../a': text }, {}, { 'c/a': 'text' }, './b/../a'),
    'of a name that goes too far up': one({ './b/../../a': text }, {}, undefined, './b/../../a'),
    'of a name with two slashes': one({ './/a': text }, {}, { 'c/a': 'text' }, './/a'),
    'named toString': one({ './a': text }, {}, undefined, 'toString'),
    'named __proto__': one({ './a': text }, {}, undefined, '__proto__'),
  }),
  ...named('link', {
    'to a file': one({ './b': link('./a'), './a': text }, {}, undefined, './b'),
    'to a file, retained': importing(
      'b',
      { b: { ...link('./b'), retained: true }, ...b },
      {},
      bFile,
    ),
    'with retained text': importing('b', { b: { ...link('./b'), retained: 'x' }, ...b }, {}, bFile),
    'with more': importing('b', { b: { ...link('./b'), more: 1 }, ...b }, {}, bFile),
    'without compartment': importing('b', { b: { module: './b' }, ...b }, {}, bFile),
    'without module': importing('b', { b: { compartment: 'c' }, ...b }, {}, bFile),
    'to a missing compartment': importing('b', { b: link('./b', 'x'), ...b }, {}, bFile),
    'to an inherited compartment': importing('b', { b: link('./b', 'toString') }),
    'to a missing compartment, unused': one({ './a': text, b: link('./b', 'x') }),
    'to a missing module': importing('b', { b: link('./x') }),
    'to itself': importing('b', { b: link('b') }),
    'to a link to itself': importing('b', { b: link('d'), d: link('b') }),
    'to its importer': importing('b', { b: link('./a') }),
    'through links': importing('b', { b: link('d'), d: link('./b'), ...b }, {}, bFile),
    'through a link that is also imported': one(
      { './a': mjs('a'), b: link('d'), d: link('./b'), ...b },
      {},
      { 'c/a': imports('d', 'b', './b'), ...bFile },
    ),
    'from a bare name and with __proto__': {
      map: json(importing('__proto__', { placeholder: link('./b'), ...b })).replace(
        'placeholder',
        '__proto__',
      ),
      files: { 'c/a': imports('__proto__'), ...bFile },
    },
    'in a scope': pair('d/x', { scopes: { d: { compartment: 'd' } } }),
    'in a scope by its name': {
      ...pair('d', { scopes: { d: { compartment: 'd' } } }),
      files: { 'c/a': imports('d'), 'd/dot': 'text' },
    },
    'in a scope with a slash': pair('d/x', { scopes: { 'd/': { compartment: 'd' } } }),
    'in a scope that is not a prefix by parts': pair('dd/x', {
      scopes: { d: { compartment: 'd' } },
    }),
    'in a scope of no compartment': pair('d/x', { scopes: { d: { compartment: 'x' } } }),
    'in the second scope': pair('d/x', {
      scopes: { e: { compartment: 'c' }, d: { compartment: 'd' } },
    }),
    'in a longer scope, later': pair('d/e/x', {
      scopes: { d: { compartment: 'c' }, 'd/e': { compartment: 'd' } },
    }),
    'in a longer scope, first': pair('d/e/x', {
      scopes: { 'd/e': { compartment: 'd' }, d: { compartment: 'c' } },
    }),
    'in a scope with policy': pair('d/x', { scopes: { d: { compartment: 'd' } }, policy: {} }),
    'in a scope with policy and entry': pair('d/x', {
      scopes: { d: { compartment: 'd' } },
      policy: {},
      modules: { './a': mjs('a'), d: link('.', 'd') },
    }),
    'in a scope with policy, inherited': pair('toString/x', {
      scopes: { toString: { compartment: 'd' } },
      policy: {},
    }),
    'in an inherited scope': pair('toString', { scopes: { toString: { compartment: 'd' } } }),
    'in a scope of a file': pair('./b/x', {
      scopes: { './b': { compartment: 'd' } },
      modules: { './a': mjs('a'), './b/x': { location: 'b', parser: 'text' } },
    }),
    'in a scope of a deferred error': pair('d/x', {
      scopes: { d: { compartment: 'd' } },
      modules: { './a': mjs('a'), 'd/x': { deferredError: 'later' } },
    }),
    'in a scope with no modules object': {
      map: {
        entry: { compartment: 'c', module: 'd/x' },
        compartments: {
          c: compartment('c', { modules: 5, scopes: { d: { compartment: 'd' } } }),
          d: compartment('d', { modules: { './x': { location: 'x', parser: 'text' } } }),
        },
      },
      files: { 'd/x': 'text' },
    },
    'in a scope with no modules': {
      map: {
        entry: { compartment: 'c', module: 'toString/x' },
        compartments: {
          c: compartment('c', { scopes: { toString: { compartment: 'd' } } }),
          d: compartment('d', { modules: { './x': { location: 'x', parser: 'text' } } }),
        },
      },
      files: { 'd/x': 'text' },
    },
    'by a location of another compartment': pair(
      './x',
      { location: 'd', modules: {} },
      {
        modules: { './x': { location: 'x', parser: 'text' }, './a': mjs('../c/a') },
      },
    ),
    'by a location of another compartment, in full': {
      map: {
        entry: { compartment: 'c', module: './x' },
        compartments: {
          c: compartment('d', { modules: {} }),
          d: compartment('d', { modules: { './x': { location: 'x', parser: 'text' } } }),
        },
      },
      files: { 'd/x': 'text' },
    },
  }),
  ...named('import', {
    'of a neighbour': importing('./b', b, {}, bFile),
    'of itself': importing('./a'),
    'of a missing module': importing('./b'),
    'of an absolute path': importing('/b', b, {}, bFile),
    'of two slashes': importing('.//b', b, {}, bFile),
    'of a path above': importing('../b', { b: link('./b'), ...b }, {}, bFile),
    'of a path two above': importing('../../b', { b: link('./b'), ...b }, {}, bFile),
    'of a path down and up': importing('./d/../b', b, {}, bFile),
    'of a bare path down and up': importing('d/../b', { b: link('./b'), ...b }, {}, bFile),
    'of a bare path above': importing('d/../../b', { b: link('./b'), ...b }, {}, bFile),
    'of nothing': importing('', { '': link('./b'), ...b }, {}, bFile),
    'of a dot': importing('.', { '.': link('./b'), ...b }, {}, bFile),
    'of two dots': importing('..', { '': link('./b'), ...b }, {}, bFile),
    'of toString': importing('toString'),
    'of constructor by link': importing(
      'constructor',
      { constructor: link('./b'), ...b },
      {},
      bFile,
    ),
    'of hasOwnProperty in an empty table': importing('hasOwnProperty', {}),
    'of a name with backslashes': importing('.\\b', { '.\\b': link('./b'), ...b }, {}, bFile),
    'of a name in Unicode': importing('./\u00fc', { './\u00fc': link('./b'), ...b }, {}, bFile),
    'of a name in another normal form': importing(
      './u\u0308',
      { './\u00fc': link('./b'), ...b },
      {},
      bFile,
    ),
  }),
};

const OBJECT_NAMES = Object.getOwnPropertyNames(Object.prototype);

export const POLICIES: Readonly<Record<string, unknown>> = {
  empty: {},
  null: null,
  'an array': [],
  text: 'any',
  'with more': { more: 1 },
  'with options': { options: 5, defaultAttenuator: 5 },
  'of any': { packages: 'any', builtins: 'any', globals: 'any' },
  'of any other': { packages: 'all' },
  'of packages': { packages: { d: true, e: false } },
  'of packages as text': { packages: { d: 'true' } },
  'of null packages': { packages: null },
  'of an array of packages': { packages: [] },
  'of attenuated packages': { packages: { d: { attenuate: 'x' } } },
  'of builtins': { builtins: { fs: true, os: { attenuate: 'x', params: [1] }, net: [1, 2] } },
  'of builtins without attenuator': { builtins: { os: { params: [1] } } },
  'of attenuated builtins': { builtins: { attenuate: 'x' } },
  'of null globals': { globals: null },
  'of globals': { globals: { console: true, fetch: false } },
  'of globals as numbers': { globals: { console: 1 } },
  'of attenuated globals': { globals: { attenuate: 'x' } },
  'of globals by the default attenuator': { globals: ['a'] },
  'of no global freeze': { noGlobalFreeze: true },
  'of no global freeze as text': { noGlobalFreeze: 'yes' },
  ...Object.fromEntries(
    [...OBJECT_NAMES, ...Object.getOwnPropertyNames(globalThis)].flatMap((name) => [
      [`of the global ${name}`, { globals: Object.fromEntries([[name, true]]) }],
    ]),
  ),
  'of no global undefined': { globals: { undefined: false } },
};

export const PRECOMPILED: Readonly<Record<string, { parser: string; content: string }>> = {
  ...languages('that is no JSON', '{'),
  ...languages('that is empty', ''),
  ...languages('that is null', 'null'),
  ...languages('that is a number', '5'),
  ...languages('that is text', '"text"'),
  ...languages('that is an array', '[]'),
  ...languages('that is an object', '{}'),
  ...languages('with no imports', '{"imports":[]}'),
  ...languages('with imports that are text', '{"imports":"./a"}'),
  ...languages('with null imports', '{"imports":null}'),
  ...languages('with imports that are an object', '{"imports":{"length":0}}'),
  ...languages('with imports of numbers', '{"imports":[1]}'),
  ...languages('with a byte order mark', '\ufeff{"imports":[]}'),
  ...languages('with exports that are a number', '{"imports":[],"exports":5,"reexports":7}'),
  ...languages('with __proto__', '{"__proto__":{"imports":["x"]},"imports":[]}'),
  ...languages('with imports by __proto__', '{"__proto__":{"imports":[]}}'),
  ...languages('with then', '{"imports":[],"then":1}'),
  ...languages('with more descriptors', '{"imports":[],"namespace":"x","source":"y","record":1}'),
  ...Object.fromEntries(
    [
      'null',
      '5',
      '[]',
      '{}',
      '[[1],null]',
      '{"toString":1}',
      '{"valueOf":1}',
      '[{"toString":1}]',
      `${'['.repeat(1e5)}${']'.repeat(1e5)}`,
    ]
      .map((program) => `{"imports":[],"__syncModuleProgram__":${program},"source":${program}}`)
      .flatMap((content) => Object.entries(languages(content.slice(0, 80), content))),
  ),
};

function languages(
  name: string,
  content: string,
): Record<string, { parser: string; content: string }> {
  return Object.fromEntries(
    ['pre-mjs-json', 'pre-cjs-json', 'json'].map((parser) => [
      `${parser} ${name}`,
      { parser, content },
    ]),
  );
}

function named<T>(what: string, cases: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(cases).map(([name, item]) => [`${what} ${name}`, item]));
}

function json({ map }: ArchiveContent): string {
  return typeof map === 'string' ? map : JSON.stringify(map);
}
