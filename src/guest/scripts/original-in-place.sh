# After the detach: refused while a file system is mounted whose disk is gone. A guest that rebooted between the unmount and the
# detach may have mounted the recovery disk in the original's place. Reads only.
read_disks
read_mounts

# Whether the disk below mount number $1 is not there any more, also by way of LVM.
disk_gone() {
  local dev=${M_DEV[$1]} disk s
  if [[ $dev == 0:* ]]; then
    # Btrfs has numbers of its own; the kernel's name for a root file system is no device either.
    [[ ${M_SRC[$1]} == /dev/* && ${M_SRC[$1]} != /dev/root && ! -b ${M_SRC[$1]} ]]
    return
  fi
  disk=${DISK_OF[$dev]-}
  [[ $disk ]] || return 0
  for s in "/sys/block/$disk/slaves/"*; do [[ -e $s ]] || return 0; done
  return 1
}
gone=
for m in "${!M_AT[@]}"; do
  [[ ${M_TYPE[m]} == @(ext[234]|xfs|btrfs) ]] && disk_gone "$m" || continue
  gone+=${gone:+, }"${M_SRC[m]} at ${M_AT[m]}"
done
[[ ! $gone ]] || refuse OriginalDisplaced \
  "$gone is mounted, and its disk is gone: the guest was rebooted before the recovery disk was detached, and had mounted it in place of the original. What was written there since is on the recovery disk only: keep it until that is saved. Unmount it (umount -l), mount the original there, or reboot the guest, then try again"
answer '{}'
