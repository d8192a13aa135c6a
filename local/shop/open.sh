#!/bin/bash
# The state of the good old days: a small shop as its application leaves it on the data disk, with what a careless copy
# loses: owners, modes, an ACL, an extended attribute, a hard link, a symbolic link, a sparse file.
set -euo pipefail
shop=${SHOP:-/data/shop}
umask 022
mkdir -p "$shop"/{config/tls,catalog,orders/2026-11,uploads/products,reports}

for ((i = 1; i <= 180; i++)); do
  printf -v id '%04d' "$i"
  printf '{"sku":"P-%s","name":"Product %s","priceCents":%d,"stock":%d}\n' "$id" "$id" $((i * 37 + 199)) $((i * 7 % 50)) \
    >"$shop/catalog/$id.json"
done
for ((i = 1; i <= 60; i++)); do
  printf -v id '%05d' "$i"
  printf '{"order":"%s","customer":%d,"totalCents":%d,"state":"open"}\n' "$id" $((i * 13 % 97)) $((i * 411)) \
    >"$shop/orders/2026-11/$id.json"
done
printf 'listen = "0.0.0.0:8080"\nworkers = 4\n' >"$shop/config/app.toml"
printf 'dsn = "shop@db:5432"\npool = 20\n' >"$shop/config/database.toml"
printf 'not a real key\n' >"$shop/config/tls/shop.key"
ln -sfn app.toml "$shop/config/current"
printf 'opened\n' >"$shop/reports/day.log"

# A ledger with holes, as databases make them: 4 MiB long, a few blocks of it written.
truncate -s 4M "$shop/orders/ledger.db"
printf 'LEDGER page 0' | dd of="$shop/orders/ledger.db" conv=notrunc status=none
printf 'LEDGER page 500' | dd of="$shop/orders/ledger.db" bs=4096 seek=500 conv=notrunc status=none

head -c 1310720 /dev/urandom | (cd "$shop/uploads/products" && split -b 65536 -d -a 3 - picture-)
ln -f "$shop/uploads/products/picture-000" "$shop/uploads/hero"
setfattr -n user.content-type -v image/webp "$shop/uploads/hero"

chown -R 33:33 "$shop/orders" "$shop/uploads"
chmod 0640 "$shop"/orders/2026-11/*.json "$shop/config/database.toml"
chmod 0600 "$shop/config/tls/shop.key"
chown 0:33 "$shop/config/database.toml"
setfacl -m u:34:r "$shop/orders/ledger.db"
sync
