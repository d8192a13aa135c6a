#!/bin/bash
# The bad deploy: configuration overwritten, emptied and removed.
set -euo pipefail
cd /data
for i in {01..07}; do : >"app/config/$i.conf"; done
for i in {08..14}; do echo broken >"app/config/$i.conf"; done
rm app/config/{15..20}.conf
mkdir app/half-deployed
echo broken >app/half-deployed/run
sync
