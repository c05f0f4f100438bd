/** `contentHash`: the meaning of a snapshot, however it is cut and compressed. */
import { createHash } from 'node:crypto';
import { moduleNames } from './manifest.ts';
import type { StateDescription } from './module-contract.ts';

/** @param states by module name */
export function contentHashOf(
  height: number,
  states: Readonly<Record<string, Omit<StateDescription, 'height'>>>,
): string {
  const [state, ...others] = Object.values(states);
  if (others.length === 0 && state?.contentHash !== undefined) return state.contentHash;
  const lead = Object.values(states).find(({ content }) => content !== undefined)?.content;
  const hash = lead?.copy() ?? createHash('sha256').update(`["swingsnap-content",1,${height}]\n`);
  for (const name of moduleNames(states)) {
    const { fields, content } = states[name] ?? { fields: {} };
    if (content !== undefined) continue;
    hash.update(`${JSON.stringify([name, fields['kind'], fields['contentHash']])}\n`);
  }
  return hash.digest('hex');
}
