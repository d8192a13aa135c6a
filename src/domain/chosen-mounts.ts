/** A choice of paths on the file systems that are mounted: which of them are still needed, and for what. Pure. */

interface Mounted {
  /** Where the original's file system is mounted. */
  readonly originalMount: string;
  /** What was asked for of it, relative to `originalMount`. */
  readonly paths: readonly string[];
}

/** `path` is `folder`, or lies below it. */
const isWithin = (path: string, folder: string): boolean =>
  folder === '' || folder === '/' || path === folder || path.startsWith(`${folder}/`);

const plain = (path: string): string => path.replaceAll(/\/+/g, '/').replace(/(?<=.)\/$/, '');

/** Paths that are neither one of the `offered` nor below one. */
export const notOffered = (chosen: readonly string[], offered: readonly string[]): string[] =>
  chosen.filter((path) => !offered.some((offer) => isWithin(plain(path), plain(offer))));

/** The mounts on which something was chosen, each with the chosen paths, relative to its mount point. */
export function chosenMounts<M extends Mounted>(mounts: readonly M[], chosen: readonly string[]): M[] {
  const absolute = (mount: M, path: string) => plain(`${mount.originalMount}/${path}`);
  // One may be mounted below another.
  const nearest = mounts.toSorted((a, b) => b.originalMount.length - a.originalMount.length);
  const mountOf = (path: string) =>
    nearest.find((mount) => mount.paths.some((offer) => isWithin(path, absolute(mount, offer))));
  return mounts.flatMap((mount) => {
    const paths = chosen
      .map(plain)
      .filter((path) => mountOf(path) === mount)
      .map((path) => path.slice(plain(mount.originalMount).length).replace(/^\//, ''));
    return paths.length === 0 ? [] : [{ ...mount, paths }];
  });
}
