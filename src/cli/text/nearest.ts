/** The candidate that is a mistyped `word`, at most a third of its letters away; undefined if there is none. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const most = Math.floor(word.replace(/^-+/u, '').length / 3);
  const [best] = candidates
    .map((name) => ({ name, far: distance(word.slice(0, 100), name) }))
    .filter(({ far }) => far <= most)
    .sort((a, b) => a.far - b.far);
  return best?.name;
}

/** Letters to add, remove, change, or exchange with the next one. */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, at) => at)];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const at = (k: number, l: number): number => rows[k]?.[l] ?? 0;
      const isSame = a[i - 1] === b[j - 1];
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        at(i - 1, j) + 1,
        (row[j - 1] ?? 0) + 1,
        at(i - 1, j - 1) + (isSame ? 0 : 1),
        isSwap ? at(i - 2, j - 2) + 1 : Infinity,
      );
    }
    rows.push(row);
  }
  return rows.at(-1)?.at(-1) ?? 0;
}
