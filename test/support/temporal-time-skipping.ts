/**
 * An environment of `@temporalio/testing` on the server of `time-skipping-server.ts`. Time is global to that server, so
 * the files that use it run one after the other.
 */
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, makeTelemetryFilterString, Runtime } from '@temporalio/worker';
import { inject } from 'vitest';

/** The SDK's own factory: it can join an existing time-skipping server, but no public function passes that on (1.24). */
interface EnvironmentFactory {
  create(options: {
    server: { type: 'existing' };
    address: string;
    namespace: string;
    supportsTimeSkipping: boolean;
  }): Promise<TestWorkflowEnvironment>;
}

let runtimeInstalled = false;

/** Quiet logs, and Ctrl-C stays with the test runner. Before any environment or worker of the process. */
function installRuntime(): void {
  if (runtimeInstalled) return;
  runtimeInstalled = true;
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR' }), forward: {} } },
    shutdownSignals: [],
  });
}

/** Call in `beforeAll`, and the environment's `teardown` in `afterAll`: it closes connections, the server lives on. */
export async function timeSkippingEnvironment(): Promise<TestWorkflowEnvironment> {
  installRuntime();
  const factory = TestWorkflowEnvironment as unknown as EnvironmentFactory;
  return factory.create({
    server: { type: 'existing' },
    address: inject('temporalAddress'),
    namespace: 'default',
    supportsTimeSkipping: true,
  });
}

/** Spread into `Worker.create`: the bundle made once for the project. */
export const workflowBundle = (): { workflowBundle: { codePath: string } } => ({
  workflowBundle: { codePath: inject('workflowBundlePath') },
});
