# Thaws what the run's freeze has frozen, and says for how long it was and whether the dead man came first. Nothing frozen
# is success.
lock
if [[ ! -s $FREEZE/mounts ]]; then answer '{"fileSystems":0,"frozenMs":0,"byDeadMan":false}'; fi
[[ -e $FREEZE/thawed ]] || ended_by thaw
thaw_all
[[ ! $LEFT ]] || fail ThawFailed "$LEFT cannot be thawed"
! is_alive "$FREEZE/freezer" || fail Busy 'the freeze is still under way: tried again until it is over'
: >"$FREEZE/done"
if is_alive "$FREEZE/dead-man"; then kill -KILL "$PID"; fi
read -r who was <"$FREEZE/thawed"
mapfile -t list <"$FREEZE/mounts"
early=false
[[ $who != dead-man ]] || early=true
answer "{\"fileSystems\":${#list[@]},\"frozenMs\":$was,\"byDeadMan\":$early}"
