# Which disk is whose, and which file system a path is on: for find-device, check-paths, mount, grow and freeze.
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

# DISKS: the kernel names of what is a disk of its own, and not made of others.
list_disks() {
  local f
  DISKS=()
  for f in /sys/block/*/device; do
    f=${f#/sys/block/}
    [[ $f == @(fd|sr)[0-9]* ]] || DISKS+=("${f%%/*}")
  done
}
# CAND[kernel name] of the disks that have no serial and $1 bytes.
without_serial() {
  local disk f s sectors
  CAND=()
  list_disks
  for disk in "${DISKS[@]}"; do
    read -r sectors <"/sys/block/$disk/size"
    ((sectors * 512 == $1)) || continue
    s=
    for f in "/sys/block/$disk/serial" "/sys/block/$disk/device/serial"; do [[ $s || ! -e $f ]] || read -r s <"$f"; done
    [[ $s ]] || CAND[$disk]=
  done
}

# ORIGINAL = the kernel name of the one disk with the original's serial.
find_original() {
  candidates "${IN[originalSerial]}"
  ((${#CAND[@]} < 2)) || refuse DeviceAmbiguous "${#CAND[@]} disks have the serial ${IN[originalSerial]}: ${!CAND[*]}"
  ((${#CAND[@]} == 1)) || fail DeviceNotFound "no disk with the serial ${IN[originalSerial]} in the guest"
  ORIGINAL=${!CAND[*]}
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

# Whether mount number $1 lies on disk $2, also by way of LVM and the like.
on_disk() {
  local dev=${M_DEV[$1]} major minor disk
  if [[ $dev == 0:* && -b ${M_SRC[$1]} ]]; then
    read -r major minor < <(stat -Lc '%t %T' -- "${M_SRC[$1]}")
    dev=$((16#$major)):$((16#$minor))
  fi
  disk=${DISK_OF[$dev]-} BELOW=
  [[ ! $disk || $disk == "$2" ]] || below "$disk"
  [[ " $disk$BELOW " == *" $2 "* ]]
}

# The way out for what cannot be brought back in the instance itself, put behind every such refusal.
OTHER_WAY='Take the way over a helper instance: roll back without paths, make a disk from snapshot B, attach it to another instance, open it there and copy what you need over the network'

# LVM that sees device $1 only, so that of two volume groups of one name it means the one there. Options that this
# version of LVM does not know are no error to it.
lvm_on() {
  local node=$1 filter
  shift
  filter="[ \"a|^$node\$|\", \"r|.*|\" ]"
  LVM_SUPPRESS_FD_WARNINGS=1 lvm "$@" --config "devices { use_devicesfile=0 hints=\"none\" filter=$filter global_filter=$filter } global { use_lvmetad=0 }" 3>&- 9>&-
}

# What the device of kernel name $1 lies on, on the way down to the disks: LAYER (LVM, LUKS, md, multipath, another name
# of device-mapper, or nothing for a plain one), and in LEAVES the kernel names of the partitions and disks at the bottom.
look_below() {
  local s uuid
  if [[ -e /sys/block/$1/dm/uuid ]]; then
    read -r uuid <"/sys/block/$1/dm/uuid"
    case $uuid in
      LVM-*) LAYER=${LAYER:-LVM} ;;
      CRYPT-*) LAYER='encrypted (LUKS)' ;;
      mpath-* | part*-mpath-*) LAYER='a multipath device' ;;
      *) LAYER='a device-mapper target other than LVM' ;;
    esac
  elif [[ -d /sys/block/$1/md ]]; then
    LAYER='a software RAID (md)'
  else
    LEAVES+=("$1")
    return
  fi
  for s in "/sys/block/$1/slaves/"*; do look_below "${s##*/}"; done
}

# The logical volume that the device of kernel name $1 is, when it is all on one partition of disk $2: VOLUME
# (group/volume), VOLUME_UUID, PART. Else status 1, WHY_CODE and WHY. $3 is the path that it is asked for.
on_volume() {
  local path=$3 uuid group_uuid missing count name f LAYER= LEAVES=()
  look_below "$1"
  for f in "${LEAVES[@]}"; do
    [[ $f == "${LEAVES[0]}" ]] || {
      why UnsupportedLayout "$path is on $M_NAME, ${LAYER:-which} lies on several devices, ${LEAVES[*]}: only what is on one partition of one disk can be found again on a copy. $OTHER_WAY"
      return
    }
  done
  if [[ $LAYER != LVM ]]; then
    why UnsupportedLayout "$path is on $M_NAME, which is $LAYER on the original disk: not supported. $OTHER_WAY"
    return
  fi
  if ! command -v lvm; then
    why ToolMissing "$path is on $M_NAME, a logical volume, and the guest has no lvm (lvm2) to open its copy with"
    return
  fi
  read -r uuid <"/sys/block/$1/dm/uuid"
  uuid=${uuid#LVM-}
  VOLUME=
  while read -r group_uuid VOLUME_UUID VOLUME name missing count; do
    [[ ${group_uuid//-/}${VOLUME_UUID//-/} != "${uuid:0:64}" ]] || break
    VOLUME=
  done < <(lvm_on "/dev/${LEAVES[0]}" lvs -a --noheadings -o vg_uuid,lv_uuid,lv_full_name,lv_name,vg_missing_pv_count,pv_count)
  if [[ ! $VOLUME ]]; then
    why UnsupportedLayout "$path is on $M_NAME, and LVM does not show it on /dev/${LEAVES[0]}. $OTHER_WAY"
    return
  fi
  if ((missing > 0)); then
    why UnsupportedLayout "$path is on the volume group ${VOLUME%%/*}, which has $count physical volumes, others than /dev/${LEAVES[0]} of the original disk: a copy of one is not enough. $OTHER_WAY"
    return
  fi
  VOLUME=${VOLUME//[\[\]]/}
  f=${LEAVES[0]}
  PART=0
  [[ ! -e /sys/class/block/$f/partition ]] || read -r PART <"/sys/class/block/$f/partition"
}

# SUBVOLUME: what of Btrfs is mounted as mount $3, where path $1 is, or its nearest folder $2. Status 1 with WHY when a copy
# could not be mounted, or the path is not in the mounted subvolume itself.
on_subvolume() {
  local path=$1 there=$2 m=$3 id key options devices
  options=${M_SUPER[m]}
  SUBVOLUME=/
  [[ ! $options =~ (^|,)subvol=(.*)$ ]] || printf -v SUBVOLUME '%b' "${BASH_REMATCH[2]//\\/\\0}"
  probe "/dev/$NODE_NAME"
  devices=(/sys/fs/btrfs/"$FS_UUID"/devices/*)
  if ((${#devices[@]} > 1)); then
    why UnsupportedLayout "$path is on Btrfs over ${#devices[@]} devices: a copy of one is not enough. $OTHER_WAY"
    return
  fi
  if ! command -v btrfstune; then
    why ToolMissing "$path is on Btrfs, and the guest has no btrfstune (btrfs-progs) to give the copy a file system id of its own, without which it must not be mounted beside the original"
    return
  fi
  [[ -d $there && ! -L $there ]] || there=${there%/*}
  exec 8<"${there:-/}" || there=
  while [[ $there ]] && read -r key id; do [[ $key != mnt_id: ]] || break; done </proc/self/fdinfo/8
  exec 8<&-
  if [[ $id != "${M_ID[m]}" ]]; then
    why PathNotOnDisk "$path: $there is hidden by another mount and not on the original disk"
    return
  fi
  if [[ $(stat -c %d -- "${there:-/}") != $(stat -c %d -- "${M_AT[m]}") ]]; then
    why UnsupportedLayout "$path lies in a subvolume inside of ${M_AT[m]} that is not mounted itself: mount it, or copy it over a helper instance"
    return
  fi
}

# OWN_FSID: the id that the run gives the Btrfs copy on partition $1; the same each time.
own_fsid() {
  OWN_FSID=$(printf '%s' "$RUN/$1" | sha256sum)
  OWN_FSID=${OWN_FSID:0:8}-${OWN_FSID:8:4}-4${OWN_FSID:13:3}-8${OWN_FSID:17:3}-${OWN_FSID:20:12}
}

# FS_TYPE, FS_UUID and FS_LABEL of what is on the device $1.
probe() {
  local line
  FS_TYPE= FS_UUID= FS_LABEL=
  while read -r line; do
    case $line in
      TYPE=*) FS_TYPE=${line#*=} ;;
      UUID=*) FS_UUID=${line#*=} ;;
      LABEL=*) FS_LABEL=${line#*=} ;;
    esac
  done < <(blkid -p -o export -- "$1")
}
# NODE: the device of partition $2 of disk $1, 0 for the disk itself; START and SECTORS where it lies.
node_of() {
  local f p
  NODE= START=0
  if (($2 == 0)); then
    NODE=/dev/$1
    read -r SECTORS <"/sys/block/$1/size"
    return
  fi
  for f in "/sys/block/$1/$1"*/partition; do
    read -r p <"$f"
    if ((p == $2)); then
      f=${f%/partition}
      NODE=/dev/${f##*/}
      read -r START <"$f/start"
      read -r SECTORS <"$f/size"
    fi
  done
}

# Where path $1 is: MOUNT (index of the mounts), NODE_NAME (kernel name of its device), PART, REL (below the mount), VOLUME and
# VOLUME_UUID on a logical volume, SUBVOLUME on Btrfs. When it is not on a usable file system of disk $2: status 1,
# WHY_CODE and WHY; all is known of one that is mounted read-only (OriginalReadOnly). Needs read_mounts and read_disks.
locate() {
  local path=$1 orig=$2 i m=-1 best=-1 at dev disk where there d major minor top=/
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
  disk=${DISK_OF[$dev]-} VOLUME= VOLUME_UUID= SUBVOLUME=
  M_NAME="${M_SRC[m]}"
  if [[ $disk == "$orig" ]]; then
    PART=${PART_OF[$dev]}
    node_of "$orig" "$PART"
    NODE_NAME=${NODE##*/}
  else
    BELOW=
    [[ ! $disk ]] || below "$disk"
    if [[ " $BELOW " != *" $orig "* ]]; then
      where=${M_SRC[m]}
      [[ ! $disk ]] || where="${M_SRC[m]} of the disk${BELOW:+s$BELOW below} /dev/$disk"
      why PathNotOnDisk "$path is not on the original disk /dev/$orig but on $where, mounted at ${M_AT[m]}"
      return
    fi
    on_volume "$disk" "$orig" "$path" || return
    NODE_NAME=$disk
  fi
  if [[ ${M_TYPE[m]} != @(ext[234]|xfs|btrfs) ]]; then
    why UnsupportedLayout "$path is on a ${M_TYPE[m]} file system: only ext2, ext3, ext4, XFS and Btrfs are supported. $OTHER_WAY"
    return
  fi
  # What is there really: a later mount may lie over the one found.
  there=$path
  while [[ ! -e $there && ! -L $there ]]; do
    there=${there%/*}
    there=${there:-/}
  done
  if [[ ${M_TYPE[m]} == btrfs ]]; then
    on_subvolume "$path" "$there" "$m" || return
    top=$SUBVOLUME
  fi
  d=$(stat -c %d -- "$there")
  if [[ ${M_TYPE[m]} != btrfs && $((d >> 8 & 0xfff)):$((d & 0xff | d >> 12 & 0xfff00)) != "${M_DEV[m]}" ]]; then
    why PathNotOnDisk "$path: $there is hidden by another mount and not on the original disk /dev/$orig"
    return
  fi
  EXISTS=
  [[ $there != "$path" ]] || EXISTS=1
  REL=${path#"${M_AT[m]%/}"}
  REL=${REL#/}
  if [[ ${M_ROOT[m]} != "$top" ]]; then
    # A bind mount: the same directory through the mount of the whole file system.
    at=${M_ROOT[m]#"${top%/}"}
    REL=${at#/}${REL:+/$REL}
    for i in "${!M_AT[@]}"; do
      if [[ ${M_DEV[i]} == "${M_DEV[m]}" && ${M_ROOT[i]} == "$top" ]]; then
        m=$i
        break
      fi
    done
    if [[ ${M_ROOT[m]} != "$top" ]]; then
      why UnsupportedLayout "$path is on a bind mount of a file system whose root is mounted nowhere"
      return
    fi
  fi
  MOUNT=$m
  if [[ ,${M_OPTS[m]}, == *,ro,* ]]; then
    why OriginalReadOnly "$path: the original's file system at ${M_AT[m]} is mounted read-only"
    return
  fi
}
why() {
  WHY_CODE=$1 WHY=$2
  return 1
}
