# Finds the original and the recovery disk by serial, and for each selected path the pair of file systems: where the
# original's is mounted, and the same partition on the recovery disk. Changes nothing but what is below the run's folder:
# links, and `others`, what else there is to be compared.
for key in run originalSerial originalSizeBytes recoverySerial recoverySizeBytes waitSeconds paths.#; do need "$key"; done
deadline=$((SECONDS + IN[waitSeconds]))

# Without a serial a disk is the only one of its size that has none, of those there before the attach ($1: original) or since.
declare -A BEFORE=()
for ((k = 0; k < ${IN[disksBefore.#]:-0}; k++)); do BEFORE[${IN[disksBefore.$k]}]=1; done
find_without_serial() {
  local what=$1 size=$2 disk
  [[ ${IN[disksBefore.#]+set} ]] || refuse DeviceAmbiguous "the $what disk has no serial, and which disks were there before the attach is not known"
  while :; do
    without_serial "$size"
    for disk in "${!CAND[@]}"; do
      if [[ $what == original && ! ${BEFORE[$disk]-} || $what == recovery && ${BEFORE[$disk]-} ]]; then unset "CAND[$disk]"; fi
    done
    ((${#CAND[@]} == 0 && SECONDS < deadline)) || break
    sleep 0.3
  done
  ((${#CAND[@]} < 2)) ||
    refuse DeviceAmbiguous "the $what disk has no serial, and ${#CAND[@]} disks without one have its $size bytes: ${!CAND[*]}"
  ((${#CAND[@]} == 1)) || fail DeviceNotFound "no disk without a serial has the $size bytes of the $what disk after ${IN[waitSeconds]} s"
  DISK=${!CAND[*]}
  own_link "without-serial-$what" "/dev/$DISK"
}

# Sets DISK and LINK once the disk with serial $2 (called $1) is there, of $3 bytes.
find_disk() {
  local what=$1 serial=$2 size=$3 sectors
  if [[ ! $serial ]]; then
    find_without_serial "$what" "$size"
    return
  fi
  while :; do
    candidates "$serial"
    ((${#CAND[@]} < 2)) ||
      refuse DeviceAmbiguous "${#CAND[@]} disks have the serial $serial of the $what disk: ${!CAND[*]}"
    for DISK in "${!CAND[@]}"; do LINK=${CAND[$DISK]}; done
    if ((${#CAND[@]} == 1)) && [[ -b /dev/$DISK ]]; then
      [[ ! $LINK ]] && ((SECONDS < deadline)) || break
    fi
    ((SECONDS < deadline)) ||
      fail DeviceNotFound "no disk with the serial $serial ($what disk) in the guest after ${IN[waitSeconds]} s"
    sleep 0.3
  done
  read -r sectors <"/sys/block/$DISK/size"
  ((sectors * 512 == size)) ||
    refuse DeviceSizeWrong "the $what disk $serial (/dev/$DISK) has $((sectors * 512)) bytes where $size were expected"
  [[ $LINK ]] || own_link "$serial" "/dev/$DISK"
}
# For a guest whose udev made no link: one of the run's own.
own_link() {
  mkdir -p "$RUN_DIR/by-id"
  LINK=$RUN_DIR/by-id/$1
  ln -sfn "$2" "$LINK"
}
find_disk original "${IN[originalSerial]}" "${IN[originalSizeBytes]}"
orig=$DISK orig_link=$LINK
find_disk recovery "${IN[recoverySerial]}" "${IN[recoverySizeBytes]}"
rec=$DISK rec_link=$LINK
[[ $orig != "$rec" ]] || refuse DeviceAmbiguous "one and the same disk, /dev/$orig, has both serials"

read_disks
read_mounts
for i in "${!M_DEV[@]}"; do
  [[ ${M_AT[i]} != "$RUN_DIR/mnt/"* ]] && on_disk "$i" "$rec" || continue
  for ((k = 0; k == 0 || k < IN[paths.#]; k++)); do
    [[ ${IN[paths.$k]-${M_AT[i]}}/ != "${M_AT[i]%/}/"* ]] || refuse OriginalDisplaced \
      "the recovery disk's ${M_SRC[i]} is mounted at ${M_AT[i]}, in place of the original: what was written there since is on the recovery disk only; stop what writes there, save it, unmount it, mount the original there, then try again"
  done
  refuse RecoveryDiskMounted "the recovery disk's ${M_SRC[i]} is already mounted at ${M_AT[i]}: unmount it there first"
done

declare -A AT=() TYPE=() PATHS=() DEVICE=() VOLUMES=()
# KEY = the file system that `locate` has found.
remember() {
  KEY=$PART/$VOLUME_UUID/$SUBVOLUME
  [[ ${AT[$KEY]-} ]] || AT[$KEY]=${M_AT[MOUNT]} TYPE[$KEY]=${M_TYPE[MOUNT]} DEVICE[$KEY]=/dev/$NODE_NAME VOLUMES[$KEY]=$VOLUME
}
for ((k = 0; k < IN[paths.#]; k++)); do
  locate "${IN[paths.$k]}" "$orig" || refuse "$WHY_CODE" "$WHY"
  remember
  js "$REL"
  PATHS[$KEY]=${PATHS[$KEY]:+${PATHS[$KEY]},}$REPLY
done
find_others "$orig"

# What is seen of a file system, for a refusal.
seen() { echo "${1:-no file system} ${2:-}${3:+ labelled $3}, $(($4 / 2048)) MiB from sector $5"; }
# PAIR = the file system $1 with its twin on the recovery disk. Status 1 with WHY when that has none.
pair() {
  local key=$1 n volume_uuid subvolume rec_node rec_start rec_sectors rec_type rec_uuid rec_label orig_sectors names= found= id name more l a until=$deadline
  IFS=/ read -r n volume_uuid subvolume <<<"$key"
  LINK=$rec_link
  ((n == 0)) || LINK+=-part$n
  # What is only to be compared may well be missing.
  [[ ${PATHS[$key]-} || until -lt SECONDS+3 ]] || until=$((SECONDS + 3))
  while node_of "$rec" "$n" && [[ ! -b $NODE || ! $LINK -ef $NODE ]] && ((SECONDS < until)); do sleep 0.3; done
  if [[ ! -b $NODE ]]; then
    why LayoutMismatch "the recovery disk has no partition $n, where the original has ${AT[$key]}"
    return
  fi
  [[ $LINK -ef $NODE ]] || own_link "${IN[recoverySerial]:-without-serial-recovery}-part$n" "$NODE"
  rec_node=$NODE rec_start=$START rec_sectors=$SECTORS
  probe "$NODE"
  rec_type=$FS_TYPE rec_uuid=$FS_UUID rec_label=$FS_LABEL
  node_of "$orig" "$n"
  orig_sectors=$SECTORS
  probe "${DEVICE[$key]}"
  if [[ $volume_uuid ]]; then
    if [[ $rec_type != LVM2_member ]]; then
      why LayoutMismatch "partition $n: the original's is a physical volume of LVM, the recovery disk's is ${rec_type:-no file system}"
      return
    fi
    # By the volume's own id: name and id of the group are the run's once the copy was mounted.
    while read -r id name; do
      names+=" $name"
      [[ $id != "$volume_uuid" ]] || found=1
    done < <(lvm_on "$rec_node" lvs --noheadings -o lv_uuid,lv_name)
    if [[ ! $found ]]; then
      why LayoutMismatch "partition $n: the original's at ${AT[$key]} is the logical volume ${VOLUMES[$key]} ($volume_uuid), and the recovery disk has${names:- no logical volume}, none of them with that id"
      return
    fi
  else
    own_fsid "$n"
    # Sizes are shown and not compared: between snapshot A and B partition and file system may have been grown.
    if [[ $rec_start != "$START" || $rec_type != "${TYPE[$key]}" || ! $rec_uuid ||
      ! ($rec_uuid == "$FS_UUID" || ($rec_type == btrfs && $rec_uuid == "$OWN_FSID")) ]]; then
      why LayoutMismatch "partition $n: the original's at ${AT[$key]} is $(seen "${TYPE[$key]}" "$FS_UUID" "$FS_LABEL" "$orig_sectors" "$START"), the recovery disk's is $(seen "$rec_type" "$rec_uuid" "$rec_label" "$rec_sectors" "$rec_start")"
      return
    fi
  fi
  js "$LINK" && l=$REPLY
  js "${AT[$key]}" && a=$REPLY
  more=
  [[ ! $volume_uuid ]] || more+=",\"volume\":\"${VOLUMES[$key]}\",\"volumeUuid\":\"$volume_uuid\""
  if [[ ${TYPE[$key]} == btrfs ]]; then
    js "/${subvolume#/}"
    more+=",\"subvolume\":$REPLY"
  fi
  PAIR="{\"partition\":$n,\"fsType\":\"${TYPE[$key]}\",\"fsUuid\":\"$FS_UUID\"$more,\"recoveryDevice\":$l,\"originalMount\":$a,\"paths\":[${PATHS[$key]-}]}"
}
everything=false out= others=
((IN[paths.#] > 0)) || everything=true
for key in "${!AT[@]}"; do
  if pair "$key"; then
    if [[ ${PATHS[$key]-} ]]; then out+=${out:+,}$PAIR; else others+=${others:+,}$PAIR; fi
  else
    [[ ! ${PATHS[$key]-} || $everything == true ]] || refuse "$WHY_CODE" "$WHY"
    unseen "$WHY"
  fi
done
[[ $out ]] || refuse NothingMounted "the guest has nothing of the original disk mounted that can be written to and is on the recovery disk, too"
name_the_rest "$rec"
# For `mount`, beside what it is asked for.
mkdir -p "$RUN_DIR"
echo "{\"everything\":$everything,\"others\":[$others],\"notCompared\":[$UNSEEN]}" >"$RUN_DIR/others.$$" && mv -T "$RUN_DIR/others.$$" "$RUN_DIR/others" ||
  fail GuestError "cannot write to $RUN_DIR"
js "$orig_link" && o=$REPLY
js "$rec_link" && r=$REPLY
answer "{\"bootId\":\"$BOOT\",\"originalDevice\":$o,\"recoveryDevice\":$r,\"fileSystems\":[$out]}"
