import { storageContract } from '../contract/storage.ts';
import { memoryStorage } from '../../src/storage/memory.ts';

storageContract(async () => {
  const storage = memoryStorage();
  return { storage, leftovers: async () => storage.list() };
});
