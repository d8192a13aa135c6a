# What the guest is, and what it has of the disk: for the plan, before anything is changed. Reads only.
need originalSerial
find_original
orig=$ORIGINAL
read_disks
read_mounts

# What the scripts of steps 6 and 7 call; the base tools of find and sed in their GNU form.
missing=
lacks() {
  js "$1"
  missing+=${missing:+,}$REPLY
}
for tool in awk blkid chmod chown cmp comm cp cut dd find flock grep head ln mount mv paste readlink rm sed setsid \
  sha256sum sort stat sync tail tar timeout touch tr umount wc xargs; do
  command -v "$tool" || lacks "$tool"
done
if command -v find; then find / -maxdepth 0 -printf '' || lacks 'find with -printf (GNU findutils)'; fi
if command -v sed; then sed -z '' || lacks 'sed with -z (GNU sed)'; fi
can_freeze=false
command -v fsfreeze && can_freeze=true
free_at() { read -r BLOCK BLOCKS FREE INODES FREE_INODES < <(stat -f -c '%S %b %a %c %d' -- "$1"); }
state_at=$BASE
[[ -d $state_at ]] || state_at=/run
free_at "$state_at" || BLOCK=0 FREE=0
state_free=$((BLOCK * FREE))

os=
for f in /etc/os-release /usr/lib/os-release; do
  [[ ! $os && -r $f ]] || continue
  while IFS= read -r line; do
    [[ $line == PRETTY_NAME=* ]] || continue
    os=${line#*=}
    os=${os#[\"\']}
    os=${os%[\"\']}
  done <"$f"
done

# Where the guest's own configuration mounts something when it boots.
declare -A AT_BOOT=([/]=1)
while read -r _ at _ opts _; do
  printf -v at '%b' "${at//\\/\\0}"
  [[ $at != /* || ,$opts, == *,noauto,* ]] || AT_BOOT[$at]=1
done < <(grep -v '^[[:space:]]*#' /etc/fstab)
for f in /etc/systemd/system/*.mount /usr/lib/systemd/system/*.mount; do
  while IFS= read -r line; do [[ $line != Where=* ]] || AT_BOOT[${line#*=}]=1; done <"$f"
done

# The file systems of the disk, each once, by way of LVM or the like, too. Bind mounts come after what they are of; a Btrfs
# may be mounted by its subvolumes alone.
declare -A SEEN=()
systems= count=0
for m in "${!M_AT[@]}"; do
  dev=${M_DEV[m]} at=${M_AT[m]}
  [[ ${M_ROOT[m]} == / || ${M_TYPE[m]} == btrfs ]] && [[ $count -lt 20 && ! ${SEEN[$dev]-} ]] || continue
  on_disk "$m" "$orig" || continue
  free_at "$at" || continue
  SEEN[$dev]=1 count=$((count + 1))
  read_only=false at_boot=false
  [[ ,${M_OPTS[m]}, != *,ro,* ]] || read_only=true
  [[ ! ${AT_BOOT[$at]-} ]] || at_boot=true
  js "$at" && a=$REPLY
  js "${M_TYPE[m]}" && t=$REPLY
  systems+=${systems:+,}"{\"at\":$a,\"type\":$t,\"readOnly\":$read_only,\"sizeBytes\":$((BLOCK * BLOCKS)),\"freeBytes\":$((BLOCK * FREE)),\"inodes\":$INODES,\"freeInodes\":$FREE_INODES,\"atBoot\":$at_boot}"
done

stacks=
declare -A ACTIVE=()
stack() {
  js "$1" && k=$REPLY
  js "$2"
  stacks+=${stacks:+,}"{\"kind\":$k,\"name\":$REPLY,\"withOthers\":$3}"
}
others() { # Sets OTHERS: whether a disk of the list $1 is not the original.
  local d
  OTHERS=false
  for d in $1; do [[ $d == "$orig" || $d == dm-* || $d == md* ]] || OTHERS=true; done
}
# A volume group is one thing, whichever of its volumes are on which disk.
declare -A GROUP=() NAME_OF=()
for b in /sys/block/dm-* /sys/block/md*; do
  name=${b##*/}
  BELOW=
  below "$name"
  uuid= label=$name
  if [[ -r $b/dm/uuid ]]; then
    read -r uuid <"$b/dm/uuid"
    read -r label <"$b/dm/name"
  fi
  if [[ $uuid == LVM-* ]]; then
    key=LVM:${uuid:4:32}
    GROUP[$key]+=" $BELOW"
    # `vg-lv`; a dash in a name is doubled.
    label=${label//--/$'\1'}
    label=${label%%-*}
    NAME_OF[$key]=${label//$'\1'/-}
    continue
  fi
  [[ " $BELOW " == *" $orig "* ]] || continue
  others "$BELOW"
  if [[ -d $b/md ]]; then
    members=0
    read -r members <"$b/md/raid_disks"
    ((members < 2)) || OTHERS=true
    stack 'md RAID' "$name" "$OTHERS"
    ACTIVE[linux_raid_member]=1
  elif [[ $uuid == CRYPT-* ]]; then
    stack LUKS "$label" "$OTHERS"
    ACTIVE[crypto_LUKS]=1
  else
    stack device-mapper "$label" "$OTHERS"
  fi
done
for key in ${GROUP[@]+"${!GROUP[@]}"}; do
  [[ " ${GROUP[$key]} " == *" $orig "* ]] || continue
  others "${GROUP[$key]}"
  stack LVM "${NAME_OF[$key]}" "$OTHERS"
  ACTIVE[LVM2_member]=1
done
for b in /sys/fs/btrfs/*-*; do
  BELOW=
  for d in "$b"/devices/*; do
    d=${d##*/}
    [[ -d /sys/block/$d ]] && BELOW+=" $d" || for f in /sys/block/*/"$d"; do
      f=${f%/*}
      BELOW+=" ${f##*/}"
    done
  done
  [[ " $BELOW " == *" $orig "* ]] || continue
  others "$BELOW"
  [[ $OTHERS == false ]] || stack Btrfs "${b##*/}" true
done
# Signatures of what is not active now; what nobody has assembled says nothing of its other disks.
if command -v blkid; then
  for node in "/dev/$orig" /sys/block/"$orig"/"$orig"*; do
    node=/dev/${node##*/}
    [[ -b $node ]] || continue
    signature=$(blkid -p -s TYPE -o value -- "$node")
    [[ $signature == @(LVM2_member|linux_raid_member|zfs_member|bcache) && ! ${ACTIVE[$signature]-} ]] || continue
    case $signature in
      LVM2_member) stack LVM '' null ;;
      linux_raid_member) stack 'md RAID' '' null ;;
      *) stack "${signature%_member}" '' null ;;
    esac
    ACTIVE[$signature]=1
  done
fi

# What stands in the way of the hooks, by the rules of `hook`.
hooks=
for ((i = 0; i < ${IN[hooks.#]-0}; i++)); do
  command=${IN[hooks.$i.command]} user=${IN[hooks.$i.user]} problem=
  if [[ ! -f $command || ! -x $command ]]; then
    problem="$command is not an executable file in the guest"
  elif ! uid=$(id -u -- "$user"); then
    problem="the guest has no user $user"
  elif [[ $uid == 0 && $(find -L "$command" -maxdepth 0 -perm -o+w) ]]; then
    problem="$command would run as root and everybody may write to it"
  fi
  [[ $problem ]] || continue
  js "${IN[hooks.$i.at]}" && a=$REPLY
  js "$problem"
  hooks+=${hooks:+,}"{\"at\":$a,\"message\":$REPLY}"
done

js "$(uname -s)" && kernel=$REPLY
js "$os" && system=$REPLY
answer "{\"kernel\":$kernel,\"os\":$system,\"bash\":\"${BASH_VERSINFO[0]}.${BASH_VERSINFO[1]}\",\"missingTools\":[$missing],\"canFreeze\":$can_freeze,\"stateFreeBytes\":$state_free,\"fileSystems\":[$systems],\"stacks\":[$stacks],\"hookProblems\":[$hooks]}"
