import { defineConfig } from 'eslint/config';
import prettier from 'eslint-config-prettier';
import { importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/**
 * The rooms of src/ and what each may import of ours, besides itself. docs/design.md, "Rooms", draws the same.
 */
const ROOMS = {
  'errors.ts': { may: [], why: 'every room may throw' },
  io: { may: ['errors.ts'], why: 'io knows no domain: it may be used for any bytes' },
  'swing-store-export': {
    may: ['errors.ts', 'io'],
    why: 'what an export is does not depend on any form of it',
  },
  storage: {
    may: ['errors.ts', 'io'],
    why: 'a storage keeps named bytes and knows no format',
  },
  snapshot: {
    may: ['errors.ts', 'io', 'swing-store-export', 'storage'],
    why: 'a snapshot is a container of states, and knows modules by their contract only',
  },
  formats: {
    may: ['errors.ts', 'io', 'swing-store-export'],
    why: 'a form of a SwingStore export is read and built without knowing who asks',
  },
  modules: {
    may: ['errors.ts', 'io', 'swing-store-export', 'storage', 'snapshot', 'formats'],
    why: 'a module brings one kind of state to the contract, from the forms that it has',
  },
  source: {
    may: ['errors.ts', 'io', 'swing-store-export', 'storage', 'snapshot', 'formats', 'modules'],
    why: 'a source delivers its states to modules, and does not know which verb asked',
  },
  operation: {
    may: [
      ...['errors.ts', 'io', 'swing-store-export', 'storage', 'snapshot', 'formats', 'modules'],
      'source',
    ],
    why: 'operations are the verbs: they join the rooms below and are joined by the CLI',
  },
  'index.ts': {
    may: [
      ...['errors.ts', 'io', 'swing-store-export', 'storage', 'snapshot', 'formats', 'modules'],
      ...['source', 'operation'],
    ],
    why: 'the library is complete without its CLI',
  },
  cli: {
    may: [
      ...['errors.ts', 'io', 'swing-store-export', 'storage', 'snapshot', 'formats', 'modules'],
      ...['source', 'operation'],
    ],
    why: 'cli serves the commands; nothing imports a command',
  },
};

const LIBRARY_ROOMS = Object.keys(ROOMS).filter((room) => room !== 'cli');
const LIBRARY = LIBRARY_ROOMS.map((room) =>
  room.endsWith('.ts') ? `src/${room}` : `src/${room}/**`,
);
const EVERY_ROOM = [...Object.keys(ROOMS), 'commands'];

const zones = Object.entries(ROOMS).map(([room, { may, why }]) => ({
  target: `./src/${room}`,
  from: EVERY_ROOM.filter((other) => other !== room && !may.includes(other)).map(
    (other) => `./src/${other}`,
  ),
  message: `src/${room} may import only ${[...may, 'itself'].join(', ')}: ${why}.`,
}));
zones.push({
  target: './src/commands',
  from: ['./src/commands'],
  message: 'Nothing imports a command: what two commands share belongs to cli or to the library.',
});

const oclif = {
  group: ['@oclif/*', 'ora'],
  message: 'Only cli and commands know that there is a terminal: report through io/progress.',
};
const storageContractOnly = {
  regex: '/storage/',
  allowTypeImports: true,
  message: 'A snapshot is handed its storage: import the contract as a type.',
};
const sqliteByName = {
  selector: String.raw`Literal[value='better-sqlite3']`,
  message: 'Only src/io/sqlite.ts names better-sqlite3: it knows which version runs on this Node.',
};
const printing = 'The library never prints: report through io/progress.';

export default defineConfig(
  { ignores: ['dist/', 'coverage/', 'test/fixtures/frozen/'] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['bin/*.js', 'eslint.config.js'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    plugins: { 'import-x': importX },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'no-self-compare': 'error',
      'object-shorthand': 'error',
      'prefer-template': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      // An interface's promise may be kept without waiting for anything.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      // A number in a template is its decimal digits: nothing to be careful about.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      'no-restricted-syntax': ['error', sqliteByName],
      'import-x/no-cycle': 'error',
      'import-x/no-default-export': 'error',
      'import-x/order': [
        'error',
        {
          groups: ['builtin', 'external', ['parent', 'sibling', 'index']],
          'newlines-between': 'never',
          alphabetize: { order: 'asc' },
        },
      ],
      'import-x/no-restricted-paths': ['error', { basePath: import.meta.dirname, zones }],
    },
    settings: {
      'import-x/extensions': ['.ts', '.js'],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
    },
  },
  {
    files: LIBRARY,
    rules: {
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'stdout', message: printing },
        { object: 'process', property: 'stderr', message: printing },
        { object: 'process', property: 'exit', message: 'The library throws; the CLI exits.' },
        { object: 'process', property: 'exitCode', message: 'The library throws; the CLI exits.' },
      ],
      'no-restricted-syntax': [
        'error',
        sqliteByName,
        {
          selector: 'ImportDeclaration[source.value=/^(node:)?process$/]',
          message: `Use the global. ${printing}`,
        },
        // The rule below does not look at dynamic imports.
        {
          selector: String.raw`ImportExpression[source.value=/^(@oclif\b|ora$)/]`,
          message: oclif.message,
        },
      ],
      '@typescript-eslint/no-restricted-imports': ['error', { patterns: [oclif] }],
    },
  },
  {
    files: ['src/snapshot/**'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        { patterns: [oclif, storageContractOnly] },
      ],
    },
  },
  // oclif finds a command, ESLint and vitest their configuration, by the default export.
  {
    files: ['src/commands/**', '*.config.*', 'test/reporter.ts'],
    rules: { 'import-x/no-default-export': 'off' },
  },
  {
    files: ['test/**'],
    rules: {
      // Fixtures are known: an assertion that cannot hold fails the test by itself.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
  // The first chooses; the others ask where what it has chosen is.
  {
    files: [
      'src/io/sqlite.ts',
      'test/fixtures/reference/same-sqlite.js',
      'test/fixtures/count-databases.js',
      'test/bench/report.ts',
      'test/io/sqlite.test.ts',
    ],
    rules: { 'no-restricted-syntax': 'off' },
  },
  // Plain JavaScript that starts the program: nothing in it has types to check.
  { files: ['**/*.js'], ...tseslint.configs.disableTypeChecked },
  prettier,
);
