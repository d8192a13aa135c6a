# Freezes every writable file system of the disk, so that a snapshot of the running instance is clean. Before that it starts
# the dead man, a process of its own session, which thaws them when the time is over, whatever becomes of agent and worker.
need originalSerial
need seconds
seconds=${IN[seconds]}
[[ $seconds =~ ^[0-9]{1,3}$ ]] && ((10#$seconds >= 1 && 10#$seconds <= 120)) || refuse InvalidInput 'seconds is not 1 to 120'
command -v fsfreeze || refuse ToolMissing 'the guest has no fsfreeze (util-linux)'
find_original
orig=$ORIGINAL
lock

say_frozen() {
  local at out=
  for at in "${POINTS[@]}"; do
    js "$at"
    out+=${out:+,}$REPLY
  done
  answer "{\"fileSystems\":[$out],\"alreadyFrozen\":$1}"
}
if [[ -s $FREEZE/since && ! -e $FREEZE/thawed ]] && is_alive "$FREEZE/dead-man"; then
  mapfile -t POINTS <"$FREEZE/mounts"
  say_frozen true
fi
# An earlier freeze that did not come to its end would freeze after all that is done here.
! is_alive "$FREEZE/freezer" || fail Busy 'an earlier freeze is still under way in this guest'
if is_alive "$FREEZE/dead-man"; then
  dead_man=$PID
  thaw_all
  [[ ! $LEFT ]] || fail ThawFailed "$LEFT, frozen before, cannot be thawed"
  kill -KILL "$dead_man"
fi
rm -rf "$FREEZE"
mkdir "$FREEZE" || fail GuestError "cannot make $FREEZE"

read_disks
read_mounts
declare -A AT=()
hidden=
for m in "${!M_AT[@]}"; do
  dev=${M_DEV[m]} at=${M_AT[m]}
  if [[ $dev == 0:* && -b ${M_SRC[m]} ]]; then
    read -r major minor < <(stat -Lc '%t %T' -- "${M_SRC[m]}")
    dev=$((16#$major)):$((16#$minor))
  fi
  disk=${DISK_OF[$dev]-}
  [[ $disk ]] || continue
  BELOW=
  [[ $disk == "$orig" ]] || below "$disk"
  [[ $disk == "$orig" || " $BELOW " == *" $orig "* ]] || continue
  # Frozen, these would stop the agent that must bring the thaw, or the whole guest.
  [[ $at != @(/|/boot|/etc|/opt|/root|/run|/tmp|/usr|/usr/local|/usr/local/share|/var|/var/lib|/var/log|/var/tmp) ]] ||
    refuse SystemFileSystem "the disk holds $at: the system itself writes there, so it cannot be frozen"
  [[ ,${M_OPTS[m]}, != *,ro,* ]] || continue
  d=$(stat -c %d -- "$at")
  if [[ $((d >> 8 & 0xfff)):$((d & 0xff | d >> 12 & 0xfff00)) == "${M_DEV[m]}" && $at != *$'\n'* ]]; then
    AT[$dev]=$at
  else
    # Another mount lies over it.
    hidden+=" $dev"
  fi
done
for dev in $hidden; do [[ ${AT[$dev]-} ]] || refuse UnsupportedLayout 'a file system of the disk cannot be reached at its mount point'; done
((${#AT[@]} > 0)) || answer '{"fileSystems":[],"alreadyFrozen":false}'
# The innermost first: freezing writes back, which may need a file system further out.
mapfile -t POINTS < <(printf '%s\n' "${AT[@]}" | sort -r)

dead_man() {
  local group
  trap '' HUP INT TERM
  # Out of the agent's control group: systemd ends what is in it when the agent is restarted.
  for group in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/systemd/cgroup.procs; do
    [[ -w $group ]] && echo $$ >"$group"
  done
  echo -1000 >/proc/self/oom_score_adj
  cd /
  started_at $$
  echo "$$ $REPLY" >"$FREEZE/dead-man.new"
  mv "$FREEZE/dead-man.new" "$FREEZE/dead-man"
  while uptime_now && ((REPLY < UNTIL)) && [[ ! -e $FREEZE/done ]]; do sleep 0.5 || sleep 1; done
  [[ ! -e $FREEZE/done ]] || exit
  ended_by dead-man
  while :; do
    thaw_all
    # A freeze that still waits for its file system's writes comes after this thaw.
    is_alive "$FREEZE/freezer" || is_alive "$FREEZE/script" || [[ $LEFT ]] || break
    sleep 0.5 || sleep 1
  done
  thaw_all
  : >"$FREEZE/done"
}
: >"$FREEZE/mounts"
started_at $$
echo "$$ $REPLY" >"$FREEZE/script"
uptime_now
UNTIL=$((REPLY + 10#$seconds * 100))
{
  echo "trap '' HUP; set -u"
  declare -p LC_ALL PATH FREEZE POINTS UNTIL
  declare -f
  echo dead_man
} >"$FREEZE/dead-man.sh"
setsid bash "$FREEZE/dead-man.sh" </dev/null >/dev/null 2>&1 3>&- 9>&- &
for ((i = 0; i < 100; i++)); do [[ -s $FREEZE/dead-man ]] && break || sleep 0.1; done
is_alive "$FREEZE/dead-man" || fail GuestError 'the process that thaws by itself did not start'

for at in "${POINTS[@]}"; do
  [[ ! -e $FREEZE/thawed ]] || break
  echo "$at" >>"$FREEZE/mounts"
  fsfreeze -f -- "$at" 2>"$FREEZE/why" 3>&- 9>&- &
  freezer=$!
  if started_at "$freezer"; then echo "$freezer $REPLY" >"$FREEZE/freezer"; fi
  wait "$freezer" && continue
  why=$(tail -n 1 "$FREEZE/why" | cut -c 1-300)
  # Not ours to thaw: it cannot be frozen, or somebody else has frozen it.
  sed -i '$d' "$FREEZE/mounts"
  ended_by freeze
  thaw_all
  [[ $LEFT ]] || : >"$FREEZE/done"
  fail FreezeFailed "$at cannot be frozen: ${why:-fsfreeze failed}"
done
[[ ! -e $FREEZE/thawed ]] || fail FreezeTimedOut "freezing took longer than the $seconds s that it may last; it is thawed again"
uptime_now
echo "$REPLY" >"$FREEZE/since"
say_frozen false
