# Ends the run's own jobs, unmounts what the run mounted, hides the copy's volume groups, removes its folders and its staging
# folders. Never lazily: a file system that somebody still uses must not be detached under them, nor a recovery disk that
# is mounted elsewhere (a reboot may have put it in the original's place).
need run
lock
for job in copy verify; do
  if job_alive "$job"; then
    kill -KILL -- "-$JOB_PID"
    for ((i = 0; i < 50; i++)); do job_alive "$job" && sleep 0.1 || break; done
  fi
done
read_mounts
count=0
for m in "${!M_AT[@]}"; do
  at=${M_AT[m]}
  [[ $at == "$RUN_DIR/mnt/"* ]] || continue
  for ((try = 0; ; try++)); do
    umount -- "$at" && break
    if ((try == 8)); then
      who=
      for pid in $(find /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/fd -maxdepth 1 \( -lname "$at" -o -lname "$at/*" \) -printf '%h\n' |
        cut -d/ -f3 | sort -un); do
        read -r comm <"/proc/$pid/comm" && who+=${who:+, }"$comm (pid $pid)"
      done
      fail Busy "$at is still in use by ${who:-a process that cannot be named}: end it, then try again"
    fi
    sleep 0.5
  done
  count=$((count + 1))
done
close_groups
[[ ! $LEFT ]] || fail Busy "$LEFT of the recovery disk cannot be deactivated: something in the guest still uses it"
if [[ ${IN[recoverySerial]-} ]]; then
  candidates "${IN[recoverySerial]}"
  read_disks
  read_mounts
  for m in "${!M_AT[@]}"; do
    for disk in "${!CAND[@]}"; do
      ! on_disk "$m" "$disk" || refuse RecoveryDiskMounted "the recovery disk's ${M_SRC[m]} is mounted at ${M_AT[m]}, and not by this run: what was written there since is on the recovery disk only; save it, unmount it, then try again"
    done
  done
fi
for m in "${!M_AT[@]}"; do
  dir=${M_AT[m]%/}/$STAGE
  [[ ${M_TYPE[m]} == @(ext[234]|xfs|btrfs) && -d $dir && ! -L $dir ]] && remove_stage "${M_AT[m]}"
done
# A copy that did not end had cleared the flags of what it was to replace.
die() { :; }
for M in "$RUN_DIR"/copy/m*; do
  IFS= read -r -d '' TO <"$M/to" && [[ ! -e $RUN_DIR/copy/ended && -s $M/locked ]] && relock
done
for to in "$RUN_DIR"/copy/m*/to; do
  IFS= read -r -d '' dir <"$to" && [[ -d $dir/$STAGE && ! -L $dir/$STAGE ]] && remove_stage "$dir"
done
rm -rf --one-file-system -- "$RUN_DIR"
[[ ! -e $RUN_DIR ]] || fail GuestError "$RUN_DIR could not be removed"
rm -f "$BASE/lock"
rmdir "$BASE"
answer "{\"unmounted\":$count}"
