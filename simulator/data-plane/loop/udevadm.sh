#!/bin/sh
# udevadm of a `loop` guest, where the simulator plays udev. `settle` and `trigger` ask it to look at the disks now and
# wait until it has; `info` reads the records that it keeps in /run/udev/data, by the host's own udevadm if there is one.
real=
for candidate in /usr/bin/udevadm /usr/sbin/udevadm /bin/udevadm /sbin/udevadm; do
  if [ -x "$candidate" ]; then real=$candidate; break; fi
done

verb=${1:-}
case $verb in
  settle | trigger)
    ask=/run/udev/refresh.$$
    : >"$ask" || exit 1
    tries=0
    while [ -e "$ask" ] && [ "$tries" -lt 500 ]; do
      sleep 0.02
      tries=$((tries + 1))
    done
    rm -f "$ask"
    [ "$tries" -lt 500 ]
    exit
    ;;
  info) ;;
  *)
    if [ -n "$real" ]; then exec "$real" "$@"; fi
    echo "udevadm: only info, settle and trigger are there" >&2
    exit 1
    ;;
esac

if [ -n "$real" ]; then exec "$real" "$@"; fi
shift
query=all name=
while [ $# -gt 0 ]; do
  case $1 in
    --query=* | -q=*) query=${1#*=} ;;
    --query | -q) query=$2; shift ;;
    -q*) query=${1#-q} ;;
    --name=* | --path=*) name=${1#*=} ;;
    --name | -n | --path | -p) name=$2; shift ;;
    -*) ;;
    *) name=$1 ;;
  esac
  shift
done
case $name in
  /sys/*) name=/dev/$(basename "$(readlink -f "$name")") ;;
  /*) ;;
  *) name=/dev/$name ;;
esac
numbers=$(stat -Lc '%t %T' "$name" 2>/dev/null) || { echo "Unknown device \"$name\": No such device" >&2; exit 1; }
record=/run/udev/data/b$((0x${numbers% *})):$((0x${numbers#* }))
if [ ! -e "$record" ]; then echo "Unknown device \"$name\": No such device" >&2; exit 1; fi
kernel=$(basename "$(readlink -f "$name")")
path=$(readlink -f "/sys/class/block/$kernel")
properties() {
  echo "DEVPATH=${path#/sys}"
  echo "DEVNAME=/dev/$kernel"
  echo "SUBSYSTEM=block"
  if [ -e "$path/partition" ]; then echo DEVTYPE=partition; else echo DEVTYPE=disk; fi
  echo "DEVLINKS=$(sed -n 's|^S:|/dev/|p' "$record" | tr '\n' ' ' | sed 's/ $//')"
  sed -n 's/^E://p' "$record"
}
case $query in
  name) echo "$kernel" ;;
  symlink) sed -n 's/^S://p' "$record" | tr '\n' ' ' | sed 's/ $/\n/' ;;
  path) echo "${path#/sys}" ;;
  property) properties ;;
  *)
    echo "P: ${path#/sys}"
    echo "N: $kernel"
    sed -n 's/^S:/S: /p' "$record"
    properties | sed 's/^/E: /'
    ;;
esac
