/** Validates what a client sent, whichever client it was; the sentence names each field. */
import { ApplicationFailure } from '@temporalio/workflow';
import type { z } from 'zod';
import { FAILURE } from '../contract/messages.ts';

export function parseInput<T extends z.ZodType>(schema: T, request: unknown): z.infer<T> {
  const parsed = schema.safeParse(request);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'input'} ${issue.message}`);
  throw ApplicationFailure.nonRetryable(`invalid input: ${problems.join('; ')}`, FAILURE.invalidInput, { problems });
}
