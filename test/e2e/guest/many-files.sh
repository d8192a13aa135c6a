#!/bin/bash
# Enough small files that copying them takes several seconds. What they are is noted on the system disk, which no run
# touches, so that `count-many-files.sh` can compare without sending thousands of lines.
set -euo pipefail
mkdir -p /data/uploads/many
cd /data/uploads/many
head -c "$((2048 * @MANY@))" /dev/urandom | split -b 2048 -a 5 -d - "@MARKER@-"
chown -R 33:33 /data/uploads/many
sync
{
  find . -type f -printf '%p %m %U:%G %T@ %s\n'
  find . -type f -print0 | xargs -0 sha256sum
} | sort >/var/tmp/many-files
