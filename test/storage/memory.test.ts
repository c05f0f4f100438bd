import { memoryStorage } from '../../src/storage/memory.ts';
import { storageContract } from '../contract/storage.ts';

storageContract(async () => {
  const storage = memoryStorage();
  return { storage, leftovers: async () => storage.list() };
});
