#!/bin/bash
# Process 1 of a `loop` guest, started in fresh mount, pid, uts and ipc namespaces. Turns the partition of the system
# disk into the root of the namespace, says so on descriptor 3, then only waits: when its standard input ends, because
# the simulator is gone, it ends too, and the kernel takes every process and mount of the guest along.
# Arguments: mount point, host name, major and minor number of the system disk, and of its partition.
set -eu
new=$1 name=$2
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022

# The host's /proc is still mounted here, so this is the number by which the simulator knows us.
read -r hostPid _ </proc/self/stat
hostname "$name"

# Mounted by the guest's own name for it: mountinfo keeps the string for ever.
mount -t tmpfs -o mode=755,size=4m,nosuid dev /dev
mknod -m 660 /dev/vda b "$3" "$4"
mknod -m 660 /dev/vda1 b "$5" "$6"
mount -t ext4 /dev/vda1 "$new"
mount --move /dev "$new/dev"

node() { mknod -m "$2" "$new/dev/$1" c "$3" "$4"; }
node null 666 1 3
node zero 666 1 5
node full 666 1 7
node random 666 1 8
node urandom 666 1 9
node tty 666 5 0
node console 600 5 1
ln -s /proc/self/fd "$new/dev/fd"
ln -s fd/0 "$new/dev/stdin"
ln -s fd/1 "$new/dev/stdout"
ln -s fd/2 "$new/dev/stderr"
ln -s pts/ptmx "$new/dev/ptmx"
mkdir -p "$new/dev/pts" "$new/dev/shm" "$new/dev/disk/by-id"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,nosuid,noexec devpts "$new/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$new/dev/shm"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$new/run"
mkdir -p "$new/run/udev/data" "$new/run/lock" "$new/run/simulator"

# Programs are the host's; what the guest changes below /usr is on its system disk.
mount -t overlay -o "lowerdir=/usr,upperdir=$new/var/lib/guest-usr/upper,workdir=$new/var/lib/guest-usr/work" overlay "$new/usr"
for dir in bin sbin lib lib32 lib64 libx32; do
  if [ -d "/$dir" ] && [ ! -L "/$dir" ]; then
    mount --bind "/$dir" "$new/$dir"
    mount -o remount,bind,ro "$new/$dir"
  fi
done

mount -t proc -o nosuid,nodev,noexec proc "$new/proc"
mount -t sysfs -o nosuid,nodev,noexec sysfs "$new/sys"
for dir in block class/block dev/block; do
  mount -t tmpfs -o mode=755,nosuid,nodev,noexec tmpfs "$new/sys/$dir"
done
# A guest that "crashes itself" through here would take the host along.
if [ -e "$new/proc/sysrq-trigger" ]; then mount --bind "$new/dev/null" "$new/proc/sysrq-trigger"; fi
: >"$new/run/simulator/partitions"
mount --bind "$new/run/simulator/partitions" "$new/proc/partitions"
# The host's would tell a guest that it has never been rebooted, and came up when the host did.
cat /proc/sys/kernel/random/uuid >"$new/run/simulator/boot_id"
mount --bind "$new/run/simulator/boot_id" "$new/proc/sys/kernel/random/boot_id"
sed "s/^btime .*/btime $(date +%s)/" /proc/stat >"$new/run/simulator/stat"
mount --bind "$new/run/simulator/stat" "$new/proc/stat"

cd "$new"
pivot_root . .
umount -l .
cd /

echo "$hostPid" >&3
exec 3>&-
while read -r _; do :; done
