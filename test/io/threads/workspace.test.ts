import { expect, it } from 'vitest';
import { withWorkspace } from '../../../src/io/threads/workspace.ts';

it('lends the same memory again, and enough of it', async () => {
  const first = await withWorkspace(1000, async (space) => space);
  expect(first.length).toBeGreaterThanOrEqual(1000);
  expect(await withWorkspace(10, async (space) => space.buffer)).toBe(first.buffer);
  expect(await withWorkspace(2000, async ({ length }) => length)).toBeGreaterThanOrEqual(2000);
});

it('never lends the same memory to two callers at once', async () => {
  await withWorkspace(10, async (outer) => {
    await withWorkspace(10, async (inner) => {
      expect(inner.buffer).not.toBe(outer.buffer);
    });
  });
});

it('takes back memory that was lent to failed work', async () => {
  const failing = withWorkspace(10, async () => Promise.reject(new Error('failed')));
  await expect(failing).rejects.toThrow('failed');
  expect(await withWorkspace(10, async ({ length }) => length)).toBeGreaterThanOrEqual(10);
});
