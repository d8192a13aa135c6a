# The cluster of snapshot B comes up from the side folder, on a socket of its own; its good rows go into the live one.
SIDE=/data/from-b/shop-db
[ -e "/run/shop-db/.s.PGSQL.5432" ] || start "$CLUSTER" shop-db
rm -f "$SIDE/postmaster.pid"
sed -i "s#/run/shop-db#/run/shop-db-b#" "$SIDE/postgresql.conf"
start "$SIDE" shop-db-b
bring_back() {
  {
    echo "BEGIN; CREATE TEMP TABLE b (LIKE $1); COPY b FROM STDIN;"
    sql shop-db-b <<<"COPY $1 TO STDOUT;"
    echo '\.'
    echo "INSERT INTO $1 SELECT * FROM b ON CONFLICT (id) DO UPDATE SET $2; DROP TABLE b; COMMIT;"
  } | sql shop-db
}
bring_back customers 'name = EXCLUDED.name, city = EXCLUDED.city'
bring_back orders 'customer = EXCLUDED.customer, total_cents = EXCLUDED.total_cents, state = EXCLUDED.state'
sql shop-db-b >/dev/null 2>&1 <<<'SELECT * FROM stock;' && echo 'stock can be read in B' || echo 'stock cannot be read in B'
stop "$SIDE"
rm -rf /data/from-b /run/shop-db-b /var/tmp/shop-db-b.log
