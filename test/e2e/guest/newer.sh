#!/bin/bash
# Written after snapshot A: good data with everything that a careless copy loses.
set -euo pipefail
marker=@MARKER@
umask 022
cd /data
for i in {21..60}; do echo "$marker upload $i of the second day" >"uploads/2026/$i.txt"; done
for i in {01..10}; do echo "$marker upload $i, edited" >"uploads/2026/$i.txt"; done
rm uploads/deleted-later
chmod 0600 uploads/mode-only
echo "$marker bbbb" >uploads/same-size-and-time
touch -d '2026-01-02 03:04:05.123456789' uploads/same-size-and-time
ln uploads/link-one uploads/link-two
echo "$marker link, edited" >uploads/link-one
ln -s 2026/01.txt uploads/relative-symlink
ln -s /nowhere/at/all uploads/dangling-symlink
mkdir -p uploads/empty-directory uploads/set-group
chmod 2770 uploads/set-group
: >uploads/empty-file
mkfifo uploads/pipe
truncate -s 6M uploads/sparse
printf '%s in the middle' "$marker" | dd of=uploads/sparse bs=1M seek=3 conv=notrunc status=none
head -c 300000 /dev/urandom >uploads/binary
echo "$marker xattr" >uploads/with-xattr
setfattr -n user.content-type -v image/webp uploads/with-xattr
echo "$marker acl" >uploads/with-acl
setfacl -m u:34:r uploads/with-acl
setfacl -d -m g:33:rx uploads/set-group
name=$'uploads/a name\nwith $(everything) \'in\' "it" \\ \xc3\xa4\xff'
echo "$marker odd name" >"$name"
echo "$marker leading dash" >uploads/-n
echo "$marker old" >uploads/old-time
touch -d '2001-02-03 04:05:06.987654321' uploads/old-time
echo "$marker private" >uploads/mode-0000
printf '%s page 700' "$marker" | dd of=db/ledger.db bs=4096 seek=700 conv=notrunc status=none
chown -R -h 33:33 uploads
chown 1000:1000 uploads/with-acl
chmod 0000 uploads/mode-0000
chmod 4755 uploads/2026/21.txt

# Not asked back: all of this must be as in snapshot A at the end.
echo "$marker index of the second day" >db/index.db
echo "$marker more" >>other/01.log
echo "$marker new" >other/06.log
rm other/05.log
sync
