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
  local text
  own_fsid "$2"
  probe "$1"
  [[ $FS_UUID == "$OWN_FSID" ]] && return
  # Btrfs replays the log only right after the commit that it follows, and a new id is a commit.
  if [[ ! $(btrfs inspect-internal dump-super "$1") =~ log_root$'\t'+0 ]]; then
    why UnsupportedLayout "the Btrfs of $1 was cut while it was mounted: its newest fsynced writes are in a log that the new id it needs beside the original would make unreadable. $OTHER_WAY"
    return
  fi
  if ! text=$(btrfstune -f -M "$OWN_FSID" "$1" 2>&1) && ! text=$(btrfstune -f -U "$OWN_FSID" "$1" 2>&1); then
    why MountFailed "btrfstune cannot give the Btrfs of $1 an id of its own: ${text//$'\n'/ }"
    return
  fi
  probe "$1"
  if [[ $FS_UUID != "$OWN_FSID" ]]; then
    why MountFailed "the Btrfs of $1 has the id $FS_UUID where $OWN_FSID was written"
    return
  fi
  btrfs device scan "$1"
}
# MOUNTED = the answer for the file system that the input has as $1, mounted now. Status 1 with WHY_CODE and WHY.
mount_pair() {
  local f=$1 n type link volume volume_uuid subvolume home node at major minor dev m same mounted= options text k p shown nested paths= l o more=
  for k in partition fsType fsUuid recoveryDevice originalMount paths.#; do need "$f.$k"; done
  n=${IN[$f.partition]} type=${IN[$f.fsType]} link=${IN[$f.recoveryDevice]} home=${IN[$f.originalMount]}
  volume=${IN[$f.volume]-} volume_uuid=${IN[$f.volumeUuid]-} subvolume=${IN[$f.subvolume]-}
  if [[ ! $n =~ ^[0-9]+$ || $type != @(ext[234]|xfs|btrfs) || ! $volume =~ ^([A-Za-z0-9+_.-]+/[A-Za-z0-9+_.-]+)?$ ]]; then
    why InvalidInput "$f: partition $n with $type cannot be mounted"
    return
  fi
  if [[ $link != @(/dev/disk/by-id|"$RUN_DIR/by-id")/* || ! -b $link ]]; then
    why DeviceNotFound "$link is not there"
    return
  fi
  node=$(readlink -f -- "$link")
  at=$RUN_DIR/mnt/p$n
  if [[ $volume ]]; then
    WHY_CODE=MountFailed
    open_volume "$node" "$volume_uuid" || return
    node=$NODE at+=-${volume#*/}
  fi
  if [[ $type == btrfs ]]; then
    # Several subvolumes of one file system may be needed.
    [[ $subvolume == / ]] || at+=-$(printf '%s' "$subvolume" | sha256sum | cut -c 1-8)
    new_fsid "$node" "$n" || return
  else
    probe "$node"
    if [[ $FS_TYPE/$FS_UUID != "$type/${IN[$f.fsUuid]}" ]]; then
      why LayoutMismatch "$link holds ${FS_TYPE:-no file system} $FS_UUID now, and $type ${IN[$f.fsUuid]} was found before"
      return
    fi
  fi
  read -r major minor < <(stat -Lc '%t %T' -- "$node")
  dev=$((16#$major)):$((16#$minor))
  mkdir -p "$at"
  read_mounts
  for m in "${!M_AT[@]}"; do
    same=
    [[ ${M_DEV[m]} != "$dev" && ! (-b ${M_SRC[m]} && ${M_SRC[m]} -ef $node) ]] || same=1
    if [[ ${M_AT[m]} == "$at" ]]; then
      mounted=1
      [[ $same ]] || why RecoveryDiskMounted "$at holds another file system, ${M_SRC[m]}" || return
    elif [[ $same && ! ($type == btrfs && ${M_AT[m]} == "$RUN_DIR/mnt/"*) ]]; then
      why RecoveryDiskMounted "the recovery disk's $link is already mounted at ${M_AT[m]}: unmount it there first"
      return
    fi
  done
  if [[ ! $mounted ]]; then
    options=ro,nodev,nosuid,noexec
    # The copy has the original's UUID, which XFS would refuse.
    [[ $type != xfs ]] || options+=,nouuid
    [[ $type != btrfs ]] || options+=,subvol=$subvolume
    # What is wrong in the copy must not panic the guest, as its superblock may ask for.
    [[ $type != ext* ]] || options+=,errors=remount-ro
    # SELinux may let the tool `mount` mount only on what has a label for it, which nothing below /run has.
    ! selinuxenabled || chcon -t mnt_t -- "$at"
    if ! text=$(mount -t "$type" -o "$options" -- "$node" "$at" 2>&1); then
      why MountFailed "mounting $link ($type${volume:+, logical volume $volume}) failed: ${text//$'\n'/ }"
      return
    fi
    new+=("$at")
  fi
  for ((k = 0; k < IN[$f.paths.#]; k++)); do
    p=${IN[$f.paths.$k]}
    shown=${home%/}/$p
    [[ /$p/ != */../* ]] || why InvalidInput "$shown leads out of the file system" || return
    link_on_way "$at" "$p"
    [[ ! $REPLY ]] || why PathThroughSymlink "$shown goes through a symbolic link on the recovery disk: ${REPLY#"$at"}" || return
    [[ -e $at/$p || -L $at/$p ]] || why PathNotFound "$shown is not in the snapshot: nothing of that name is on the recovery disk" || return
    if [[ $type == btrfs && ${IN[everything]-} != true && -d $at/$p && ! -L $at/$p ]]; then
      # The copy stays within one subvolume: what lies in another must not be left out in silence. Where all of the disk is
      # brought back, it is named as not compared.
      nested=$(find "$at/$p" -mindepth 1 -xdev -type d -inum 256 -print -quit)
      [[ ! $nested ]] || why UnsupportedLayout "${home%/}${nested#"$at"} is a Btrfs subvolume below $shown: name the paths beside it, or mount it and name it too" || return
    fi
    js "$p"
    paths+=${paths:+,}$REPLY
  done
  js "$link" && l=$REPLY
  js "$home" && o=$REPLY
  [[ ! $volume ]] || more=",\"volume\":\"$volume\",\"volumeUuid\":\"$volume_uuid\""
  if [[ $type == btrfs ]]; then
    BTRFS[$n/$volume_uuid]=$at SUBVOLUMES[$n/$volume_uuid$subvolume]=1
    js "$subvolume"
    more+=",\"subvolume\":$REPLY"
  fi
  MOUNTED="{\"partition\":$n,\"fsType\":\"$type\",\"fsUuid\":\"${IN[$f.fsUuid]}\"$more,\"recoveryDevice\":$l,\"originalMount\":$o,\"paths\":[$paths],\"recoveryMount\":\"$at\"}"
  printf '%s\0' "$at" "$home" >>"$RUN_DIR/mounted.new"
}
J=$(<"$RUN_DIR/others") && json_value ''
declare -A BTRFS=() SUBVOLUMES=()
: >"$RUN_DIR/mounted.new"
out=
for ((i = 0; i < IN[fileSystems.#]; i++)); do
  mount_pair "fileSystems.$i" || undo "$WHY_CODE" "$WHY"
  out+=${out:+,}$MOUNTED
done
# What `find-device` has found besides is mounted to be compared. No run fails for it.
{
  for ((i = 0; i < ${IN[notCompared.#]-0}; i++)); do enc "${IN[notCompared.$i]}" && echo "$REPLY"; done
  for ((i = 0; i < ${IN[others.#]-0}; i++)); do
    mount_pair "others.$i" || { enc "${IN[others.$i.originalMount]}: ${WHY%". $OTHER_WAY"}" && echo "$REPLY"; }
  done
  for key in "${!BTRFS[@]}"; do
    count=0
    while read -r name; do
      [[ ${SUBVOLUMES[$key/$name]-} ]] && continue
      count=$((count + 1)) some=/$name
    done < <(echo && btrfs subvolume list "${BTRFS[$key]}" | sed 's/.* path //')
    ((count == 0)) || { enc "partition ${key%%/*} has $count subvolumes of Btrfs, such as $some, which the guest has not mounted" && echo "$REPLY"; }
  done
} >"$RUN_DIR/not-compared"
mv -T "$RUN_DIR/mounted.new" "$RUN_DIR/mounted"
answer "{\"mounts\":[$out]}"
