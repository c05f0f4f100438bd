/**
 * A thread of the export worker. When the command is gone, the main thread hears it and cleans up; if it waits for a
 * disk instead, this thread ends the process.
 */
import { workerData } from 'node:worker_threads';
import { KILL_AFTER_MS } from './end-worker.ts';

const LOOK_EVERY_MS = 500;

const command = workerData as number;
const timer = setInterval(() => {
  if (process.ppid === command) return;
  clearInterval(timer);
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), KILL_AFTER_MS);
}, LOOK_EVERY_MS);
