#!/bin/bash
# The state that snapshot A will hold: what the run is asked to bring back (`uploads`, `db/ledger.db`), what the damage will
# hit (`app`), and what nobody asks for (`other`, `db/index.db`). Every file contains the marker, so that its content is
# recognised wherever it should not be.
set -euo pipefail
marker=@MARKER@
umask 022
cd /data
mkdir -p app/config uploads/2026 db other
for i in {01..20}; do echo "$marker setting $i" >"app/config/$i.conf"; done
for i in {01..20}; do echo "$marker upload $i of the first day" >"uploads/2026/$i.txt"; done
for i in {01..05}; do echo "$marker log line $i" >"other/$i.log"; done
echo "$marker deleted later" >uploads/deleted-later
echo "$marker mode changes later" >uploads/mode-only
echo "$marker aaaa" >uploads/same-size-and-time
touch -d '2026-01-02 03:04:05.123456789' uploads/same-size-and-time
echo "$marker one" >uploads/link-one
echo "$marker index" >db/index.db
truncate -s 4M db/ledger.db
printf '%s page 0' "$marker" | dd of=db/ledger.db conv=notrunc status=none
printf '%s page 900' "$marker" | dd of=db/ledger.db bs=4096 seek=900 conv=notrunc status=none
chown -R 33:33 uploads
chmod 0640 uploads/2026/*.txt
sync
