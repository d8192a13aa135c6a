# Mounts the recovery disk's file systems read-only below the run's folder, and looks that each selected path is there.
# Plain `ro`: the journal is replayed into the throwaway copy; noload and norecovery would hide the newest fsynced files.
need run
need fileSystems.#
lock
new=()
undo() {
  local at
  for at in ${new[@]+"${new[@]}"}; do umount "$at" && rmdir "$at"; done
  refuse "$@"
}
out=
for ((i = 0; i < IN[fileSystems.#]; i++)); do
  f=fileSystems.$i
  for key in partition fsType recoveryDevice originalMount paths.#; do need "$f.$key"; done
  n=${IN[$f.partition]} type=${IN[$f.fsType]} link=${IN[$f.recoveryDevice]}
  [[ $n =~ ^[0-9]+$ && $type == @(ext[234]|xfs) ]] || undo InvalidInput "$f: partition $n with $type cannot be mounted"
  [[ $link == @(/dev/disk/by-id|"$RUN_DIR/by-id")/* && -b $link ]] || undo DeviceNotFound "$link is not there"
  read -r major minor < <(stat -Lc '%t %T' -- "$link")
  dev=$((16#$major)):$((16#$minor))
  at=$RUN_DIR/mnt/p$n
  mkdir -p "$at"
  read_mounts
  mounted=
  for m in "${!M_AT[@]}"; do
    if [[ ${M_AT[m]} == "$at" ]]; then
      [[ ${M_DEV[m]} == "$dev" ]] || undo RecoveryDiskMounted "$at holds another file system, ${M_SRC[m]}"
      mounted=1
    elif [[ ${M_DEV[m]} == "$dev" ]]; then
      undo RecoveryDiskMounted "the recovery disk's $link is already mounted at ${M_AT[m]}: unmount it there first"
    fi
  done
  if [[ ! $mounted ]]; then
    options=ro,nodev,nosuid,noexec
    # The copy has the original's UUID, which XFS would refuse.
    [[ $type != xfs ]] || options+=,nouuid
    why=$(mount -t "$type" -o "$options" -- "$link" "$at" 2>&1) ||
      undo MountFailed "mounting $link ($type) failed: ${why//$'\n'/ }"
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
    js "$p"
    paths+=${paths:+,}$REPLY
  done
  js "$link" && l=$REPLY
  js "${IN[$f.originalMount]}" && o=$REPLY
  out+=${out:+,}"{\"partition\":$n,\"fsType\":\"$type\",\"recoveryDevice\":$l,\"originalMount\":$o,\"paths\":[$paths],\"recoveryMount\":\"$at\"}"
done
answer "{\"mounts\":[$out]}"
