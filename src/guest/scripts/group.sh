# The copy's volume group under a name of the run, for mount and unmount.
GROUP=ecs_rollback_${RUN//-/_}

# Sets NODE to the device of the logical volume with id $2 of the recovery disk's physical volume $1. The group there gets
# new ids and the run's name first, so that the original's is never meant. Status 1 with WHY.
open_volume() {
  local pv=$1 volume=$2 name attributes group id found= uuid f
  : >"$RUN_DIR/groups"
  read -r name attributes < <(lvm_on "$pv" vgs --noheadings -o vg_name,vg_attr)
  if [[ $name != "$GROUP"* ]]; then
    why=$(lvm_on "$pv" vgimportclone -n "$GROUP" "$pv" 2>&1) || {
      WHY="LVM cannot import the copy of the volume group $name: ${why//$'\n'/ }"
      return 1
    }
  elif [[ $attributes == ??x* ]]; then
    lvm_on "$pv" vgimport "$name"
  fi
  while read -r group id name; do
    [[ $id != "$volume" ]] || found=$group/$name
  done < <(lvm_on "$pv" lvs --noheadings -o vg_name,lv_uuid,lv_name)
  [[ $found && $found == "$GROUP"* ]] || {
    WHY="the recovery disk has no logical volume with the id $volume in a group of the run"
    return 1
  }
  why=$(lvm_on "$pv" lvchange -K -ay "$found" 2>&1) || {
    WHY="LVM cannot activate $found: ${why//$'\n'/ }"
    return 1
  }
  volume=${volume//-/} NODE=
  for f in /sys/block/dm-*/dm/uuid; do
    read -r uuid <"$f"
    read -r name <"${f%uuid}name"
    [[ $uuid == LVM-????????????????????????????????"$volume" && $name == "$GROUP"* ]] || continue
    f=${f#/sys/block/}
    NODE=/dev/${f%%/*}
  done
  [[ -b $NODE ]] || {
    WHY="$found was activated and has no device"
    return 1
  }
}

# Ends every use of the run's groups and hides them: an exported group is activated by nobody. LEFT: what is still active.
# All disks are searched for them, but for a run that has mounted in this boot, and nothing of LVM.
close_groups() {
  local group attributes try
  LEFT=
  command -v lvm || return 0
  if [[ -e $RUN_DIR/mounted && ! -e $RUN_DIR/groups ]] && ! group_active; then return; fi
  while read -r group attributes; do
    [[ $group == "$GROUP"* && $attributes != ??x* ]] || continue
    # udev may still look into a volume that was just unmounted.
    for ((try = 0; ; try++)); do
      why=$(lvm_anywhere vgchange -an "$group" 2>&1) && break
      if ((try == 8)); then
        LEFT="the volume group $group (${why//$'\n'/ })"
        continue 2
      fi
      sleep 0.5
    done
    lvm_anywhere vgexport "$group"
  done < <(lvm_anywhere vgs --noheadings -o vg_name,vg_attr)
  ! group_active || LEFT="${LEFT:-the logical volume $REPLY}"
}
# REPLY = a logical volume of the run's groups that is active.
group_active() {
  local f
  for f in /sys/block/dm-*/dm/name; do
    read -r REPLY <"$f"
    [[ $REPLY != "$GROUP"*-* ]] || return 0
  done
  return 1
}
lvm_anywhere() { LVM_SUPPRESS_FD_WARNINGS=1 lvm "$@" --config 'devices { use_devicesfile=0 }' 3>&- 9>&-; }
