#!/bin/bash
# Prints what a run may have left in the guest, one line each: its mounts, its folders, disks beyond the first two and
# that of the packages, and processes of a copy. Nothing printed means nothing left. What is kept on purpose (its
# report in /var/lib/ecs-rollback) is no leftover.
set -euo pipefail
awk '$2 ~ /\/ecs-rollback/ { print "mount " $2 " of " $1 }' /proc/mounts
for path in /run/ecs-rollback/* /mnt/ecs-rollback*; do
  [ ! -e "$path" ] || echo "path $path"
done
lsblk -dn -o NAME,TYPE,SERIAL,MOUNTPOINT | awk '$2 == "disk" && $NF != "/opt/packages" { count++; if (count > 2) print "disk " $1 " with serial " $3 }'
for process in /proc/[0-9]*; do
  name=$(tr '\0' ' ' 2>/dev/null <"$process/cmdline") || continue
  case $name in *rsync*ecs-rollback* | *ecs-rollback*copy*) echo "process ${process#/proc/}: ${name:0:80}" ;; esac
done
