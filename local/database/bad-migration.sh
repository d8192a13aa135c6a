# 03:00: a migration drops a table and a clean-up script writes zeros and noise over the files of another.
file=$(sql shop-db <<<"CHECKPOINT; SELECT pg_relation_filepath('stock');")
stop "$CLUSTER"
head -c 16384 /dev/urandom | dd of="$CLUSTER/$file" conv=notrunc status=none
start "$CLUSTER" shop-db
sql shop-db <<<'DROP TABLE products;'
sync
