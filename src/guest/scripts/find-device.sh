# Finds the original and the recovery disk by serial, and for each selected path the pair of file systems: where the
# original's is mounted, and the same partition on the recovery disk. Changes nothing but a link below the run's folder.
for key in run originalSerial originalSizeBytes recoverySerial recoverySizeBytes waitSeconds paths.#; do need "$key"; done
deadline=$((SECONDS + IN[waitSeconds]))

# Sets DISK and LINK once the disk with serial $2 (called $1) is there, of $3 bytes.
find_disk() {
  local what=$1 serial=$2 size=$3 sectors
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
  if [[ ${DISK_OF[${M_DEV[i]}]-} == "$rec" && ${M_AT[i]} != "$RUN_DIR/mnt/"* ]]; then
    refuse RecoveryDiskMounted "the recovery disk's ${M_SRC[i]} is already mounted at ${M_AT[i]}: unmount it there first"
  fi
done

declare -A AT=() TYPE=() PATHS=()
for ((k = 0; k < IN[paths.#]; k++)); do
  locate "${IN[paths.$k]}" "$orig" || refuse "$WHY_CODE" "$WHY"
  if [[ ! ${AT[$PART]-} ]]; then AT[$PART]=${M_AT[MOUNT]} TYPE[$PART]=${M_TYPE[MOUNT]}; fi
  js "$REL"
  PATHS[$PART]=${PATHS[$PART]:+${PATHS[$PART]},}$REPLY
done

probe() {
  local line
  FS_TYPE= FS_UUID=
  while read -r line; do
    case $line in
      TYPE=*) FS_TYPE=${line#*=} ;;
      UUID=*) FS_UUID=${line#*=} ;;
    esac
  done < <(blkid -p -o export -- "$1")
}
node_of() {
  local f p
  NODE=
  (($2 > 0)) || NODE=/dev/$1
  for f in "/sys/block/$1/$1"*/partition; do
    read -r p <"$f"
    if ((p == $2)); then
      f=${f%/partition}
      NODE=/dev/${f##*/}
    fi
  done
}
out=
for n in "${!AT[@]}"; do
  LINK=$rec_link
  ((n == 0)) || LINK+=-part$n
  while node_of "$rec" "$n" && [[ ! -b $NODE || ! $LINK -ef $NODE ]] && ((SECONDS < deadline)); do sleep 0.3; done
  [[ -b $NODE ]] || refuse LayoutMismatch "the recovery disk has no partition $n, where the original has ${AT[$n]}"
  [[ $LINK -ef $NODE ]] || own_link "${IN[recoverySerial]}-part$n" "$NODE"
  probe "$NODE"
  rec_type=$FS_TYPE rec_uuid=$FS_UUID
  node_of "$orig" "$n"
  probe "$NODE"
  [[ $rec_type != @(LVM2_member|crypto_LUKS|linux_raid_member|btrfs) ]] ||
    refuse UnsupportedLayout "partition $n of the recovery disk is $rec_type, which is not supported"
  [[ $rec_type == "${TYPE[$n]}" && $rec_uuid && $rec_uuid == "$FS_UUID" ]] || refuse LayoutMismatch \
    "partition $n: the original's at ${AT[$n]} is ${TYPE[$n]} $FS_UUID, the recovery disk's is ${rec_type:-no file system} $rec_uuid"
  js "$LINK" && l=$REPLY
  js "${AT[$n]}" && a=$REPLY
  out+=${out:+,}"{\"partition\":$n,\"fsType\":\"$rec_type\",\"recoveryDevice\":$l,\"originalMount\":$a,\"paths\":[${PATHS[$n]}]}"
done
js "$orig_link" && o=$REPLY
js "$rec_link" && r=$REPLY
answer "{\"originalDevice\":$o,\"recoveryDevice\":$r,\"fileSystems\":[$out]}"
