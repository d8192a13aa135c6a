# A cluster with customers, products, stock, orders and a log, as the application leaves it.
mkdir -p "$CLUSTER"
chown postgres: "$CLUSTER"
pg initdb -D "$CLUSTER" -A trust -E UTF8 --locale=C --data-checksums -N >/dev/null
cat >>"$CLUSTER/postgresql.conf" <<'CONF'
listen_addresses = ''
unix_socket_directories = '/run/shop-db'
jit = off
shared_buffers = 16MB
max_connections = 10
CONF
start "$CLUSTER" shop-db
sql shop-db <<'SQL'
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, city text NOT NULL);
CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, price_cents int NOT NULL);
CREATE TABLE stock (id int PRIMARY KEY, product int NOT NULL, pieces int NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers, total_cents int NOT NULL, state text NOT NULL);
CREATE TABLE log (id int PRIMARY KEY, line text NOT NULL);
INSERT INTO customers SELECT n, 'Customer ' || n, 'City ' || n % 17 FROM generate_series(1, 300) n;
INSERT INTO products SELECT n, 'Product ' || n, n * 37 + 199 FROM generate_series(1, 200) n;
INSERT INTO stock SELECT n, n, n * 7 % 50 FROM generate_series(1, 200) n;
INSERT INTO orders SELECT n, n % 300 + 1, n * 411, 'open' FROM generate_series(1, 2000) n;
INSERT INTO log VALUES (1, 'opened');
CHECKPOINT;
SQL
sync
