/** Extracts fences, tables, links and command lines from the project's documents. */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Document {
  /** Path relative to the project. */
  readonly file: string;
  readonly text: string;
}

export function readDocument(file: string): Document {
  return { file, text: readFileSync(path.join(root, file), 'utf8') };
}

/** All documents of the project: those at its top, and those in `docs`. */
export function readDocuments(): readonly Document[] {
  const names = (dir: string): string[] =>
    readdirSync(path.join(root, dir))
      .filter((name) => name.endsWith('.md'))
      .map((name) => path.join(dir, name));
  return [...names('.'), ...names('docs')].map(readDocument);
}

const FENCE = /^( *)```(\w*)\n([\s\S]*?)^\1```$/gmu;

/** The contents of the fenced blocks. */
export function fencesOf({ text }: Document): readonly string[] {
  return [...text.matchAll(FENCE)].map(([, , , body = '']) => body);
}

/** The text without its fenced blocks. */
export function proseOf({ text }: Document): string {
  return text.replace(FENCE, '');
}

/** Text between single backticks. */
export function inlineCodeOf(document: Document): readonly string[] {
  return [...proseOf(document).matchAll(/`([^`\n]+)`/gu)].map(([, code = '']) => code);
}

/** The rows of the tables whose header begins with these cells, as trimmed cells. */
export function tablesOf(document: Document, ...header: readonly string[]): readonly string[][][] {
  const cells = (line: string): string[] =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  const tables = proseOf(document).match(/(?:^\|.*\|\n)+/gmu) ?? [];
  return tables
    .map((table) => table.trimEnd().split('\n').map(cells))
    .filter(([first = []]) => header.every((cell, i) => first[i] === cell))
    .map((rows) => rows.slice(2));
}

/** Link targets, as written. */
export function linksOf(document: Document): readonly string[] {
  return [...proseOf(document).matchAll(/\]\(([^)\s]+)\)/gu)].map(([, target = '']) => target);
}

/** The anchors of the headings, as GitHub makes them. */
export function anchorsOf(document: Document): readonly string[] {
  return [...proseOf(document).matchAll(/^#+ +(.+)$/gmu)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/gu, '-'),
  );
}

export interface CommandLine {
  /** The word after `swingsnap`. */
  readonly command: string;
  /** Flags with dashes, without values. */
  readonly flags: readonly string[];
  readonly line: string;
}

/** Every `swingsnap <command> …` in fences and in inline code, up to the end of the shell command. */
export function commandLinesOf(document: Document): readonly CommandLine[] {
  const code = [...fencesOf(document), ...inlineCodeOf(document)].join('\n');
  const joined = code.replace(/\\\n\s*/gu, ' ');
  return [...joined.matchAll(/\bswingsnap +([a-z][^\n|&;#>)]*)/gu)].map(([line, words = '']) => {
    const [command = '', ...rest] = words.split(/\s+/u);
    return { command, line, flags: flagsIn(rest.join(' ')) };
  });
}

/** The flags in a piece of code. */
export function flagsIn(code: string): readonly string[] {
  return [...code.matchAll(/(?<=^|[\s[(])--?[a-z][a-z-]*/gu)].map(([flag]) => flag);
}
