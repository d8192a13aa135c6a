#!/bin/bash
# How many of the files of `many-files.sh` are there as they were, and how many facts of others there are instead.
set -euo pipefail
echo 3 >/proc/sys/vm/drop_caches
mkdir -p /data/uploads/many
cd /data/uploads/many
{
  find . -type f -printf '%p %m %U:%G %T@ %s\n'
  find . -type f -print0 | xargs -0 -r sha256sum
} | sort >/var/tmp/many-files.now
rmdir --ignore-fail-on-non-empty /data/uploads/many
same=$(comm -12 /var/tmp/many-files /var/tmp/many-files.now | wc -l)
other=$(comm -13 /var/tmp/many-files /var/tmp/many-files.now | wc -l)
echo "{\"same\":$((same / 2)),\"other\":$other}"
