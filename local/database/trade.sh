# Life goes on after snapshot A: new customers, new orders, old orders paid and shipped.
sql shop-db <<'SQL'
INSERT INTO customers SELECT n, 'Customer ' || n, 'City ' || n % 17 FROM generate_series(301, 340) n;
INSERT INTO orders SELECT n, n % 340 + 1, n * 411, 'paid' FROM generate_series(2001, 2600) n;
UPDATE orders SET state = 'shipped' WHERE id % 13 = 0;
INSERT INTO log VALUES (2, 'traded');
SQL
