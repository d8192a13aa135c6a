# Grows the original disk's last partition and the file systems on it to the disk, after a rollback to a smaller layout. What
# is as large as it can be is left as it is, so it may run twice. What cannot be grown for sure is named, never forced.
need originalSerial
find_original
disk=$ORIGINAL
lock
read_disks
read_mounts
grown= left=
sectors() { read -r REPLY <"/sys/class/block/$1/size"; }
# Keeps that $1 (called $2) has grown from $3 to $4 bytes.
has_grown() {
  (($4 > $3)) || return
  js "$1" && grown+="${grown:+,}{\"what\":\"$2\",\"name\":$REPLY,\"fromBytes\":$3,\"toBytes\":$4}"
}
leave() { js "$1" && left+=${left:+,}$REPLY; }

# Kernel names of what may hold file systems: the whole disk, or the partition that ends last, which alone can grow.
grow_partition() {
  local f last=-1 n= start before whole why
  TOP=$disk
  for f in "/sys/block/$disk/$disk"*/partition; do
    read -r start <"${f%/partition}/start"
    if ((start > last)); then
      last=$start
      read -r n <"$f"
      TOP=${f%/partition} TOP=${TOP##*/}
    fi
  done
  [[ $n ]] || return 0
  sectors "$TOP" && before=$REPLY
  sectors "$disk" && whole=$REPLY
  # Less than 1 MiB behind it is the table's own copy, and what is left over by alignment: the table is not touched for that.
  ((whole - last - before >= 2048)) || return 0
  if command -v growpart; then
    # Status 1 with NOCHANGE: it is as large as it can be.
    why=$(growpart "/dev/$disk" "$n" 2>&1 3>&- 9>&-) || [[ $? == 1 && $why == *NOCHANGE* ]] || leave "partition $n: ${why//$'\n'/ }"
  elif command -v sfdisk && command -v partx; then
    why=$(echo ', +' | sfdisk -q -N "$n" --no-reread --force "/dev/$disk" 2>&1 && partx -u -n "$n" "/dev/$disk" 2>&1) ||
      leave "partition $n: ${why//$'\n'/ }"
  else
    leave "partition $n: the guest has neither growpart nor sfdisk with partx"
  fi
  sectors "$TOP"
  has_grown "/dev/$TOP" partition $((before * 512)) $((REPLY * 512))
}

# Grows what lies on the device of kernel name $1.
grow_on() {
  local at='' i before why holder
  probe "/dev/$1"
  case $FS_TYPE in
    LVM2_member) grow_group "$1" ;;
    ext[234] | xfs | btrfs)
      for i in "${!M_AT[@]}"; do
        [[ -b ${M_SRC[i]} && ${M_SRC[i]} -ef /dev/$1 && ,${M_OPTS[i]}, != *,ro,* ]] && at=${M_AT[i]} && break
      done
      if [[ ! $at ]]; then
        leave "the $FS_TYPE file system on /dev/$1 is not mounted writable"
        return
      fi
      before=$(stat -f -c '%b*%S' -- "$at")
      case $FS_TYPE in
        xfs) why=$(xfs_growfs -d "$at" 2>&1) ;;
        btrfs) why=$(btrfs filesystem resize max "$at" 2>&1) ;;
        *) why=$(resize2fs "/dev/$1" 2>&1) ;;
      esac || leave "the $FS_TYPE file system at $at: ${why//$'\n'/ }"
      has_grown "$at" "$FS_TYPE file system" $((before)) $(($(stat -f -c '%b*%S' -- "$at")))
      ;;
    '') [[ $1 == "$disk" ]] || leave "/dev/$1 holds nothing that is known" ;;
    *) leave "/dev/$1 is $FS_TYPE, which is not grown" ;;
  esac
}
grow_group() {
  local group volumes=() name free before f uuid
  lvm_on "/dev/$1" pvresize "/dev/$1"
  read -r group free < <(lvm_on "/dev/$1" vgs --noheadings --units b --nosuffix -o vg_name,vg_free)
  while read -r name; do volumes+=("$name"); done < <(lvm_on "/dev/$1" lvs --noheadings -o lv_name)
  if ((${#volumes[@]} != 1)); then
    ((free == 0)) || leave "volume group $group has ${#volumes[@]} logical volumes and $free bytes free: which of them is to grow is yours to say (lvextend -r)"
    return
  fi
  name=${volumes[0]}
  uuid=$(lvm_on "/dev/$1" lvs --noheadings -o lv_dm_path "$group/$name")
  f=$(readlink -f -- ${uuid:-/nowhere})
  [[ -b $f ]] || {
    leave "logical volume $group/$name is not active"
    return
  }
  sectors "${f##*/}" && before=$REPLY
  ((free == 0)) || lvm_on "/dev/$1" lvextend -l +100%FREE "$group/$name" || leave "logical volume $group/$name cannot be extended"
  sectors "${f##*/}"
  has_grown "$group/$name" 'logical volume' $((before * 512)) $((REPLY * 512))
  grow_on "${f##*/}"
}
grow_partition
udevadm settle --timeout=10
grow_on "$TOP"
# A run that brings nothing back has no unmount to remove its folder.
rmdir "$RUN_DIR" && rm -f "$BASE/lock" && rmdir "$BASE"
answer "{\"grown\":[$grown],\"left\":[$left]}"
