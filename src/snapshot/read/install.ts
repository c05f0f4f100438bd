/** States become visible together. */
import type { InstalledState, WrittenState } from '../module-contract.ts';

/**
 * Installs states in their order. If one of them cannot be, those before it are taken back.
 * @returns what became of each
 */
export async function installAll(
  written: readonly Pick<WrittenState, 'install'>[],
): Promise<InstalledState[]> {
  const installed: InstalledState[] = [];
  try {
    for (const state of written) installed.push(await state.install());
    return installed;
  } catch (error) {
    for (const state of installed.reverse()) await state.undo();
    throw error;
  }
}
