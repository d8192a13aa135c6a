#!/bin/bash
# Prints everything below /data, but for what is in `uploads/many` and what runs keep aside, as three gzipped texts in Base64, one a line: the
# entries, ten NUL-terminated fields each (path, type, mode, owner, modification time, size, link target, inode, 512-byte
# blocks, device); SHA-256 sums of the files; extended attributes and ACLs as getfattr dumps them. Caches are dropped
# first, so that the disk itself is read.
set -euo pipefail
export LC_ALL=C
sync
echo 3 >/proc/sys/vm/drop_caches
cd /data
pack() {
  gzip -9 | base64 -w 0
  echo
}
find . \( -path './uploads/many/*' -o -path './.ecs-rollback-*.aside' \) -prune -o -printf '%p\0%y\0%m\0%U:%G\0%T@\0%s\0%l\0%i\0%b\0%D\0' | pack
find . \( -path './uploads/many/*' -o -path './.ecs-rollback-*.aside' \) -prune -o -type f -print0 | xargs -0 -r sha256sum --zero | pack
find . \( -path './uploads/many/*' -o -path './.ecs-rollback-*.aside' \) -prune -o ! -type l -print0 | xargs -0 -r getfattr -h -d -m - -e hex | pack
