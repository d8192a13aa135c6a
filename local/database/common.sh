#!/bin/bash
# The shop's database: PostgreSQL from Debian's packages on /opt/packages, its cluster on the data disk. Put before each
# script of this folder.
set -euo pipefail
PROGRAMS=/opt/packages/usr/lib/postgresql/15/bin
LIBRARIES=/opt/packages/usr/lib/x86_64-linux-gnu
CLUSTER=/data/shop-db
id postgres >/dev/null 2>&1 || useradd -r -M -d /nonexistent -s /usr/sbin/nologin postgres

pg() (
  cd /
  exec setpriv --reuid=postgres --regid=postgres --clear-groups env LD_LIBRARY_PATH="$LIBRARIES" "$PROGRAMS/$1" "${@:2}"
)
# Starts the cluster in folder $1; it is reached as $2.
start() {
  mkdir -p "/run/$2"
  chown postgres: "/run/$2"
  touch "/var/tmp/$2.log"
  chown postgres: "/var/tmp/$2.log"
  pg pg_ctl -D "$1" -l "/var/tmp/$2.log" -w -t 240 -s start 2>>"/var/tmp/$2.log" || {
    tail -n 5 "/var/tmp/$2.log"
    exit 1
  }
}
stop() { pg pg_ctl -D "$1" -w -t 120 -m fast -s stop; }
# SQL on standard input, for the cluster reached as $1.
sql() { pg psql -h "/run/$1" -d postgres -XAtq -v ON_ERROR_STOP=1; }
