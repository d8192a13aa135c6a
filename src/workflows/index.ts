/** The workflow types of the worker: every export here is one. */
export { holdLease } from './lease.ts';
export { handleKept, readReport } from './kept.ts';
export { rollbackDisk } from './rollback-disk.ts';
export { syncFromSnapshot } from './sync-from-snapshot.ts';
export { sweep } from './sweep.ts';
