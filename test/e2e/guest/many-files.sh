#!/bin/bash
# Enough small files that copying them takes several seconds.
set -euo pipefail
mkdir /data/uploads/many
cd /data/uploads/many
head -c 6144000 /dev/urandom | split -b 2048 -a 4 -d - "@MARKER@-"
chown -R 33:33 /data/uploads/many
sync
