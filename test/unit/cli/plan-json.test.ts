/** `plan -o json`: the document that runbooks read and `start --plan` is given. A change of its shape is a change of contract. */
import { afterEach, expect, it, vi } from 'vitest';
import type { RollbackPlan } from '../../../src/contract/rollback.ts';
import { planRollback } from '../../../src/domain/plan/index.ts';
import { disk, healthy, snapshot, withPaths } from '../domain/plan/samples.ts';
import { fakeClient, finished } from './fake-client.ts';
import { endedView, handleOf, sampleResult } from './samples.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const target = ['--region', 'cn-hangzhou', '--disk', disk.id, '--snapshot', snapshot.id, '--path', '/data/uploads'];

it('has this shape', async () => {
  const seen = { ...healthy, disk: { ...disk, locks: ['security'], encrypted: true, kmsKeyId: 'key-1' } };
  const plan: RollbackPlan = { ...planRollback(withPaths, seen), hash: 'f'.repeat(64) };
  const view = endedView({ kind: 'plan', result: sampleResult({ outcome: 'planned', plan }) });
  fakeClient({ plan: () => handleOf([view]) });
  const { exit, stdout } = await finished(['plan', ...target, '-o', 'json']);
  expect(exit).toBe(3);
  expect(JSON.parse(stdout)).toMatchInlineSnapshot(`
    {
      "command": "plan",
      "exitCode": 3,
      "outcome": "planned",
      "plan": {
        "disk": {
          "category": "cloud_essd",
          "encrypted": true,
          "id": "d-bp1aaaaaaaaaaaaaaaaa",
          "kind": "data",
          "kmsKeyId": "key-1",
          "performanceLevel": "PL1",
          "serial": "bp1aaaaaaaaaaaaaaaaa",
          "sizeGiB": 20,
          "zoneId": "cn-hangzhou-h",
        },
        "diskId": "d-bp1aaaaaaaaaaaaaaaaa",
        "findings": [
          {
            "code": "DiskLocked",
            "fact": "disk d-bp1aaaaaaaaaaaaaaaaa is locked (security)",
            "field": "diskId",
            "remedy": "clear the lock in the console first",
            "severity": "blocker",
          },
          {
            "code": "DataLossWindow",
            "fact": "everything written to d-bp1aaaaaaaaaaaaaaaaa since 2026-11-20T00:00:00Z leaves the disk with the reset",
            "field": "snapshotId",
            "remedy": "/data/uploads will be brought back; snapshot B keeps all of it for 30 days",
            "severity": "warning",
          },
          {
            "code": "KmsNotChecked",
            "fact": "disk d-bp1aaaaaaaaaaaaaaaaa is encrypted with KMS key key-1; whether the key may be used shows only once the instance is stopped",
            "field": "diskId",
            "remedy": "see in KMS that the key is enabled and ECS is authorised for it",
            "severity": "warning",
          },
        ],
        "hash": "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "instance": {
          "id": "i-bp1aaaaaaaaaaaaaaaaa",
          "name": "shop",
          "osName": "Debian 12",
          "wasRunning": true,
        },
        "observedAt": "2026-11-22T00:00:00Z",
        "paths": [
          "/data/uploads",
        ],
        "regionId": "cn-hangzhou",
        "snapshotId": "s-bp1aaaaaaaaaaaaaaaaa",
        "steps": [
          "plan",
          "stopInstance",
          "takeSafetySnapshot",
          "gate",
          "resetDisk",
          "startInstance",
          "createRecoveryDisk",
          "attachRecoveryDisk",
          "connect",
          "mountRecoveryDisk",
          "copyBack",
          "releaseRecoveryDisk",
        ],
        "target": {
          "createdAt": "2026-11-20T00:00:00Z",
          "id": "s-bp1aaaaaaaaaaaaaaaaa",
          "sizeGiB": 20,
        },
      },
      "request": {
        "acceptDataLoss": false,
        "diskId": "d-bp1aaaaaaaaaaaaaaaaa",
        "dryRun": false,
        "forceStop": false,
        "freezeFileSystems": false,
        "onFailureAfterReset": "ask",
        "onLeaseHeld": "fail",
        "powerAfter": "as-found",
        "regionId": "cn-hangzhou",
        "safetySnapshotRetentionDays": 30,
        "snapshotId": "s-bp1aaaaaaaaaaaaaaaaa",
        "snapshotMode": "cold",
        "sync": {
          "conflictPolicy": "newer-wins",
          "paths": [
            "/data/uploads",
          ],
        },
      },
      "runId": "run-1",
      "schemaVersion": 1,
      "workflowId": "rollback-d-bp1a2b3c4d5e6f7g8h9i",
    }
  `);
});
