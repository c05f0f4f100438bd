/** A process that opens one copy of a LevelDB database: its working directory. It answers one request over IPC. */
import { readOpened, type LevelDbRequest } from './level-db-copy.ts';

process.once('message', (request: LevelDbRequest) => {
  void readOpened('.', request).then((read) => {
    process.send?.(read, () => {
      process.disconnect();
    });
  });
});
