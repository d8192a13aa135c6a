# What the two disks hold besides what is to be brought back: other file systems that the original has mounted are compared
# with their twins on the recovery disk, and what cannot be compared is named. For find-device, before it pairs them.

# UNSEEN = sentences of what is in no comparison, as JSON; TOLD["partition/volume/"]: what one is about.
UNSEEN=
declare -A TOLD=()
unseen() {
  js "${1%". $OTHER_WAY"}"
  UNSEEN+=${UNSEEN:+,}$REPLY
}
# The file systems of the original disk $1 on which no path lies. With no path at all, what can be written to is selected whole.
find_others() {
  local i id
  local -A seen=() failed=()
  for i in "${!M_AT[@]}"; do
    # One file system is mounted at many places, or a Btrfs by its subvolumes.
    id="${M_DEV[i]} ${M_SUPER[i]}"
    [[ ! ${seen[$id]-} ]] && on_disk "$i" "$1" || continue
    PART= WHY_CODE=
    locate "${M_AT[i]}" "$1"
    if [[ $WHY_CODE == @(|OriginalReadOnly) ]]; then
      seen[$id]=1
      remember
      [[ $WHY_CODE || ${IN[paths.#]} != 0 ]] || PATHS[$KEY]='""'
    else
      failed[$id]=${failed[$id]-$WHY}
      TOLD[$PART/$VOLUME_UUID/]=1
    fi
  done
  for id in ${failed[@]+"${!failed[@]}"}; do [[ ${seen[$id]-} ]] || unseen "${failed[$id]}"; done
}
# What is on disk $1, the recovery disk, and has no twin that the guest has mounted.
name_the_rest() {
  local f n id name what volumes numbers=()
  for f in "${!AT[@]}"; do
    IFS=/ read -r n id _ <<<"$f"
    TOLD[$n//]=1 TOLD[$n/$id/]=1
  done
  for f in "/sys/block/$1/$1"*/partition; do
    read -r n <"$f"
    numbers+=("$n")
  done
  for n in "${numbers[@]:-0}"; do
    node_of "$1" "$n"
    probe "$NODE"
    what="partition $n of the recovery disk"
    ((n > 0)) || what='the recovery disk'
    case $FS_TYPE in
      swap) unseen "$what is swap space" ;;
      LVM2_member)
        volumes=$(lvm_on "$NODE" lvs --noheadings -o lv_uuid,lv_name) || unseen "$what has logical volumes that cannot be listed"
        while read -r id name; do
          [[ ! $name || ${TOLD[$n/$id/]-}${TOLD[/$id/]-} ]] || unseen "$what has the logical volume $name, which the guest has not mounted"
        done <<<"$volumes"
        ;;
      # The frame of other partitions has two sectors.
      '') ((SECTORS <= 2)) || unseen "$what has no file system that is known" ;;
      *) [[ ${TOLD[$n//]-} ]] || unseen "$what has $FS_TYPE, which the guest has not mounted" ;;
    esac
  done
}
