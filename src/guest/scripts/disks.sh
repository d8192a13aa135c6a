# Which disk is whose, and which file system a path is on: for find-device, check-paths and freeze.
shopt -s nullglob
declare -A CAND=() DISK_OF=() PART_OF=()

# CAND[kernel name] = best link of every disk with the serial. sysfs is asked too: of two disks with one serial only one
# gets the link, and kernels before 4.20 may give none.
candidates() {
  local serial=$1 link name f s
  CAND=()
  for link in "/dev/disk/by-id/virtio-$serial" "/dev/disk/by-id/nvme-Alibaba_Cloud_Elastic_Block_Storage_$serial" \
    /dev/disk/by-id/*"$serial"*; do
    [[ -b $link && ! $link =~ -part[0-9]+$ ]] || continue
    name=$(readlink -f -- "$link")
    name=${name##*/}
    [[ -e /sys/block/$name && ! ${CAND[$name]-} ]] && CAND[$name]=$link
  done
  for f in /sys/block/*/serial /sys/block/*/device/serial; do
    s=
    read -r s <"$f"
    [[ $s && $s == "${serial:0:20}" ]] || continue
    name=${f#/sys/block/}
    name=${name%%/*}
    CAND[$name]=${CAND[$name]-}
  done
}

# Block devices by device number, as mounts name them; partition 0 is the whole disk.
read_disks() {
  local f disk part dev n
  for f in /sys/block/*/dev /sys/block/*/*/dev; do
    IFS=/ read -r _ _ _ disk part _ <<<"$f"
    read -r dev <"$f"
    n=0
    if [[ $part != dev ]]; then
      [[ -e ${f%/dev}/partition ]] || continue
      read -r n <"${f%/dev}/partition"
    fi
    DISK_OF[$dev]=$disk
    PART_OF[$dev]=$n
  done
}

# BELOW: the disks below a device-mapper or md device.
below() {
  local s d
  for s in "/sys/block/$1/slaves/"*; do
    s=${s##*/}
    if [[ -d /sys/block/$s ]]; then
      BELOW+=" $s"
      below "$s"
    else
      for d in /sys/block/*/"$s"; do
        d=${d%/*}
        BELOW+=" ${d##*/}"
      done
    fi
  done
}

# Where path $1 is: MOUNT (index of the mounts), PART and REL (below the file system's root). When it is not on a usable
# file system of disk $2: status 1, WHY_CODE and WHY. Needs read_mounts and read_disks.
locate() {
  local path=$1 orig=$2 i m=-1 best=-1 at dev disk where there d major minor
  while [[ $path == *//* ]]; do path=${path//\/\//\/}; done
  [[ $path == / ]] || path=${path%/}
  if [[ $path != /* || $path/ == */./* || $path/ == */../* ]]; then
    why InvalidInput "$path is not a plain absolute path"
    return
  fi
  link_on_way / "${path#/}"
  if [[ $REPLY ]]; then
    why PathThroughSymlink "$path goes through $REPLY, a symbolic link to $(readlink -- "$REPLY"): name the real path"
    return
  fi
  for i in "${!M_AT[@]}"; do
    at=${M_AT[i]}
    if [[ $at == / || $path == "$at" || $path == "$at/"* ]] && ((${#at} >= best)); then m=$i best=${#at}; fi
  done
  if ((m < 0)); then
    why PathNotOnDisk "$path is on no mounted file system"
    return
  fi
  dev=${M_DEV[m]}
  if [[ $dev == 0:* && -b ${M_SRC[m]} ]]; then
    read -r major minor < <(stat -Lc '%t %T' -- "${M_SRC[m]}")
    dev=$((16#$major)):$((16#$minor))
  fi
  disk=${DISK_OF[$dev]-}
  if [[ $disk != "$orig" ]]; then
    BELOW=
    [[ ! $disk ]] || below "$disk"
    if [[ " $BELOW " == *" $orig "* ]]; then
      why UnsupportedLayout "$path is on ${M_SRC[m]}, which lies on the original disk by way of LVM, LUKS or md: only plain partitions and whole-disk file systems are supported"
    else
      where=${M_SRC[m]}
      [[ ! $disk ]] || where="${M_SRC[m]} of the disk /dev/$disk"
      why PathNotOnDisk "$path is not on the original disk /dev/$orig but on $where, mounted at ${M_AT[m]}"
    fi
    return
  fi
  if [[ ${M_TYPE[m]} != @(ext[234]|xfs) ]]; then
    why UnsupportedLayout "$path is on a ${M_TYPE[m]} file system: only ext2, ext3, ext4 and XFS are supported"
    return
  fi
  # What is there really: a later mount may lie over the one found.
  there=$path
  while [[ ! -e $there && ! -L $there ]]; do
    there=${there%/*}
    there=${there:-/}
  done
  d=$(stat -c %d -- "$there")
  if [[ $((d >> 8 & 0xfff)):$((d & 0xff | d >> 12 & 0xfff00)) != "${M_DEV[m]}" ]]; then
    why PathNotOnDisk "$path: $there is hidden by another mount and not on the original disk /dev/$orig"
    return
  fi
  EXISTS=
  [[ $there != "$path" ]] || EXISTS=1
  REL=${path#"${M_AT[m]%/}"}
  REL=${REL#/}
  if [[ ${M_ROOT[m]} != / ]]; then
    # A bind mount: the same directory through the mount of the whole file system.
    REL=${M_ROOT[m]#/}${REL:+/$REL}
    for i in "${!M_AT[@]}"; do
      if [[ ${M_DEV[i]} == "$dev" && ${M_ROOT[i]} == / ]]; then
        m=$i
        break
      fi
    done
    if [[ ${M_ROOT[m]} != / ]]; then
      why UnsupportedLayout "$path is on a bind mount of a file system whose root is mounted nowhere"
      return
    fi
  fi
  if [[ ,${M_OPTS[m]}, == *,ro,* ]]; then
    why OriginalReadOnly "$path: the original's file system at ${M_AT[m]} is mounted read-only"
    return
  fi
  MOUNT=$m PART=${PART_OF[$dev]}
}
why() {
  WHY_CODE=$1 WHY=$2
  return 1
}
