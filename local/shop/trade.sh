#!/bin/bash
# Life goes on after snapshot A: the good newer data that a plain rollback would throw away.
set -euo pipefail
shop=${SHOP:-/data/shop}
umask 022
mkdir -p "$shop/uploads/customers"

for ((i = 61; i <= 110; i++)); do
  printf -v id '%05d' "$i"
  printf '{"order":"%s","customer":%d,"totalCents":%d,"state":"paid"}\n' "$id" $((i * 13 % 97)) $((i * 411)) \
    >"$shop/orders/2026-11/$id.json"
done
for ((i = 1; i <= 60; i += 6)); do
  printf -v id '%05d' "$i"
  printf '{"order":"%s","customer":%d,"totalCents":%d,"state":"shipped"}\n' "$id" $((i * 13 % 97)) $((i * 411)) \
    >"$shop/orders/2026-11/$id.json"
done
printf 'LEDGER page 800' | dd of="$shop/orders/ledger.db" bs=4096 seek=800 conv=notrunc status=none
head -c 983040 /dev/urandom | (cd "$shop/uploads/customers" && split -b 65536 -d -a 3 - photo-)
ln -f "$shop/uploads/customers/photo-000" "$shop/uploads/customers/avatar"
setfattr -n user.content-type -v image/jpeg "$shop/uploads/customers/avatar"
ln -sfn products/picture-001 "$shop/uploads/of-the-week"
printf 'traded\n' >>"$shop/reports/day.log"

chown -R -h 33:33 "$shop/orders" "$shop/uploads"
chmod 0640 "$shop"/orders/2026-11/*.json
sync
