# Mounts the recovery disk's file systems read-only below the run's folder, and looks that each selected path is there.
# Plain `ro`: the journal is replayed into the throwaway copy; noload and norecovery would hide the newest fsynced files.
# What carries the original's identity so that it cannot be told apart from it gets one of its own first: volume groups and Btrfs.
need run
need fileSystems.#
lock
new=()
undo() {
  local at
  for at in ${new[@]+"${new[@]}"}; do umount "$at" && rmdir "$at"; done
  refuse "$@"
}
# A Btrfs of one id is one file system to the kernel: mounted as it is, the copy could be taken for the original.
new_fsid() {
  local why
  own_fsid "$2"
  probe "$1"
  [[ $FS_UUID == "$OWN_FSID" ]] && return
  # Btrfs replays the log only right after the commit that it follows, and a new id is a commit.
  [[ $(btrfs inspect-internal dump-super "$1") =~ log_root$'\t'+0 ]] || undo UnsupportedLayout \
    "the Btrfs of $1 was cut while it was mounted: its newest fsynced writes are in a log that the new id it needs beside the original would make unreadable. $OTHER_WAY"
  why=$(btrfstune -f -M "$OWN_FSID" "$1" 2>&1) || why=$(btrfstune -f -U "$OWN_FSID" "$1" 2>&1) ||
    undo MountFailed "btrfstune cannot give the Btrfs of $1 an id of its own: ${why//$'\n'/ }"
  probe "$1"
  [[ $FS_UUID == "$OWN_FSID" ]] || undo MountFailed "the Btrfs of $1 has the id $FS_UUID where $OWN_FSID was written"
  btrfs device scan "$1"
}
out=
for ((i = 0; i < IN[fileSystems.#]; i++)); do
  f=fileSystems.$i
  for key in partition fsType fsUuid recoveryDevice originalMount paths.#; do need "$f.$key"; done
  n=${IN[$f.partition]} type=${IN[$f.fsType]} link=${IN[$f.recoveryDevice]}
  volume=${IN[$f.volume]-} volume_uuid=${IN[$f.volumeUuid]-} subvolume=${IN[$f.subvolume]-}
  [[ $n =~ ^[0-9]+$ && $type == @(ext[234]|xfs|btrfs) && $volume =~ ^([A-Za-z0-9+_.-]+/[A-Za-z0-9+_.-]+)?$ ]] || undo InvalidInput "$f: partition $n with $type cannot be mounted"
  [[ $link == @(/dev/disk/by-id|"$RUN_DIR/by-id")/* && -b $link ]] || undo DeviceNotFound "$link is not there"
  node=$(readlink -f -- "$link")
  at=$RUN_DIR/mnt/p$n
  if [[ $volume ]]; then
    open_volume "$node" "$volume_uuid" || undo MountFailed "$WHY"
    node=$NODE at+=-${volume#*/}
  fi
  if [[ $type == btrfs ]]; then
    # Several subvolumes of one file system may be needed.
    [[ $subvolume == / ]] || at+=-$(printf '%s' "$subvolume" | sha256sum | cut -c 1-8)
    new_fsid "$node" "$n"
  else
    probe "$node"
    [[ $FS_TYPE/$FS_UUID == "$type/${IN[$f.fsUuid]}" ]] || undo LayoutMismatch \
      "$link holds ${FS_TYPE:-no file system} $FS_UUID now, and $type ${IN[$f.fsUuid]} was found before"
  fi
  read -r major minor < <(stat -Lc '%t %T' -- "$node")
  dev=$((16#$major)):$((16#$minor))
  mkdir -p "$at"
  read_mounts
  mounted=
  for m in "${!M_AT[@]}"; do
    same=
    [[ ${M_DEV[m]} != "$dev" && ! (-b ${M_SRC[m]} && ${M_SRC[m]} -ef $node) ]] || same=1
    if [[ ${M_AT[m]} == "$at" ]]; then
      [[ $same ]] || undo RecoveryDiskMounted "$at holds another file system, ${M_SRC[m]}"
      mounted=1
    elif [[ $same && ! ($type == btrfs && ${M_AT[m]} == "$RUN_DIR/mnt/"*) ]]; then
      undo RecoveryDiskMounted "the recovery disk's $link is already mounted at ${M_AT[m]}: unmount it there first"
    fi
  done
  if [[ ! $mounted ]]; then
    options=ro,nodev,nosuid,noexec
    # The copy has the original's UUID, which XFS would refuse.
    [[ $type != xfs ]] || options+=,nouuid
    [[ $type != btrfs ]] || options+=,subvol=$subvolume
    why=$(mount -t "$type" -o "$options" -- "$node" "$at" 2>&1) ||
      undo MountFailed "mounting $link ($type${volume:+, logical volume $volume}) failed: ${why//$'\n'/ }"
    new+=("$at")
    mount --make-private "$at"
  fi
  paths=
  for ((k = 0; k < IN[$f.paths.#]; k++)); do
    p=${IN[$f.paths.$k]}
    shown=${IN[$f.originalMount]%/}/$p
    [[ /$p/ != */../* ]] || undo InvalidInput "$shown leads out of the file system"
    link_on_way "$at" "$p"
    [[ ! $REPLY ]] || undo PathThroughSymlink "$shown goes through a symbolic link on the recovery disk: ${REPLY#"$at"}"
    [[ -e $at/$p || -L $at/$p ]] || undo PathNotFound "$shown is not in the snapshot: nothing of that name is on the recovery disk"
    if [[ $type == btrfs && -d $at/$p && ! -L $at/$p ]]; then
      # The copy stays within one subvolume: what lies in another must not be left out in silence.
      nested=$(find "$at/$p" -mindepth 1 -xdev -type d -inum 256 -print -quit)
      [[ ! $nested ]] || undo UnsupportedLayout "${IN[$f.originalMount]%/}${nested#"$at"} is a Btrfs subvolume below $shown: name the paths beside it, or mount it and name it too"
    fi
    js "$p"
    paths+=${paths:+,}$REPLY
  done
  js "$link" && l=$REPLY
  js "${IN[$f.originalMount]}" && o=$REPLY
  more=
  [[ ! $volume ]] || more=",\"volume\":\"$volume\",\"volumeUuid\":\"$volume_uuid\""
  if [[ $type == btrfs ]]; then
    js "$subvolume"
    more+=",\"subvolume\":$REPLY"
  fi
  out+=${out:+,}"{\"partition\":$n,\"fsType\":\"$type\",\"fsUuid\":\"${IN[$f.fsUuid]}\"$more,\"recoveryDevice\":$l,\"originalMount\":$o,\"paths\":[$paths],\"recoveryMount\":\"$at\"}"
done
answer "{\"mounts\":[$out]}"
