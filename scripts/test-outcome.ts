/** What a run of the tests came to, in the words of the last lines of `npm test`: all that a truncated log keeps. */
import { suiteOf } from './test-suites.ts';

export interface Trouble {
  /** `test/unit/a.test.ts > group > test`; of a hook, the group; of a file that cannot be loaded, the file. */
  readonly name: string;
  /** First lines of its errors, without colours. */
  readonly lines: readonly string[];
}

/** One file of tests. */
export interface FileOutcome {
  /** From the root of the repository. */
  readonly path: string;
  readonly passed: number;
  readonly skipped: number;
  /** Failed tests, and errors outside any test: in a hook, at loading, unhandled. Each counts as one failure. */
  readonly troubles: readonly Trouble[];
}

export interface RunOutcome {
  readonly files: readonly FileOutcome[];
  /** Errors that belong to no file. */
  readonly elsewhere: readonly Trouble[];
}

/** More broken files than this are no accident of the moment: they are not run again. */
const MOST_SECOND_TRIES = 3;
const LINES_PER_TROUBLE = 14;
const LINE_LENGTH = 300;
const TROUBLES_SHOWN = 20;

/** Those that ran no test: their files were lost, or are not where vitest looks. */
export const suitesWithoutTests = (run: RunOutcome, suites: readonly string[]): string[] =>
  suites.filter(
    (suite) =>
      !run.files.some((file) => suiteOf(file.path) === suite && file.passed + file.skipped + file.troubles.length > 0),
  );

/** The files that a second try could mend; none when something failed that belongs to no file. */
export function filesToTryAgain(run: RunOutcome): readonly FileOutcome[] {
  const broken = run.files.filter(({ troubles }) => troubles.length > 0);
  return run.elsewhere.length === 0 && broken.length <= MOST_SECOND_TRIES ? broken : [];
}

/** The first run with what the second try of some of its files came to. A file that was not run again stays broken. */
export function afterSecondTry(
  first: RunOutcome,
  again: RunOutcome,
): { readonly run: RunOutcome; readonly mended: readonly Trouble[] } {
  const mended: Trouble[] = [];
  const files = first.files.map((file) => {
    const second = again.files.find(({ path }) => path === file.path);
    if (second === undefined || file.troubles.length === 0) return file;
    if (second.troubles.length === 0 && second.passed === 0) return file;
    const still = new Set(second.troubles.map(({ name }) => name));
    mended.push(...file.troubles.filter(({ name }) => !still.has(name)));
    return second;
  });
  return { run: { files, elsewhere: [...first.elsewhere, ...again.elsewhere] }, mended };
}

export const troublesOf = (run: RunOutcome): readonly Trouble[] => [
  ...run.files.flatMap(({ troubles }) => troubles),
  ...run.elsewhere,
];

const cut = (line: string): string => (line.length > LINE_LENGTH ? `${line.slice(0, LINE_LENGTH - 1)}…` : line);

/** Names and first lines, in full where there are few. */
export function describeTroubles(heading: string, troubles: readonly Trouble[]): string[] {
  if (troubles.length === 0) return [];
  const shown = troubles.slice(0, TROUBLES_SHOWN);
  return [
    '',
    heading,
    ...shown.flatMap(({ name, lines }) => [
      `  ✖ ${name}`,
      ...lines.slice(0, LINES_PER_TROUBLE).map((line) => `      ${cut(line)}`),
      ...(lines.length > LINES_PER_TROUBLE ? ['      …'] : []),
    ]),
    ...(troubles.length > shown.length ? [`  … and ${troubles.length - shown.length} more`] : []),
  ];
}

/** The line that CI reads. */
export const countLine = (passed: number, failed: number, skipped: number): string =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
