/** Where Temporal is, as its own tools find it: TEMPORAL_* variables over the profile of temporal.toml. */
import { loadClientConnectConfig } from '@temporalio/envconfig';

export type TemporalSettings = ReturnType<typeof loadClientConnectConfig>;

/** Throws an Error of one line when the variables or the file cannot be used. */
export function temporalSettings(profile?: string): TemporalSettings {
  try {
    return loadClientConnectConfig(profile === undefined ? {} : { profile });
  } catch (cause) {
    // What the library says of a file without any profile (1.24).
    const reason =
      cause instanceof TypeError
        ? 'temporal.toml has no [profile.…] section: add one, or remove the file'
        : cause instanceof Error
          ? (cause.message.split('\n')[0] ?? '')
          : String(cause);
    throw new Error(`Temporal's settings cannot be read: ${reason}`, { cause });
  }
}
