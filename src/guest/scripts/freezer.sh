# What freeze and thaw share. State in $FREEZE, in memory: `mounts`, the frozen mount points, each written before it is
# frozen; `since`, the uptime when all were; `thawed`, who ended it and after how long; `done`, when nothing is frozen.
need run
FREEZE=$RUN_DIR/freeze
POINTS=()

# REPLY = the uptime in hundredths of a second, which no change of the clock moves.
uptime_now() {
  local up
  read -r up _ </proc/uptime
  REPLY=$((10#${up/./}))
}
started_at() {
  local s
  read -r s <"/proc/$1/stat" || return
  s=${s##*) }
  set -- $s
  [[ $1 != Z ]] && REPLY=${20}
}
# Is the process in file $1, known by id and start time, alive? PID = its id.
is_alive() {
  local at
  read -r PID at <"$1" && started_at "$PID" && [[ $REPLY == "$at" ]]
}
# LEFT = a file system that could not be thawed, if any. One that is not frozen gives EINVAL.
thaw_all() {
  local at why list=("${POINTS[@]}")
  [[ ! -e $FREEZE/mounts ]] || mapfile -t list <"$FREEZE/mounts"
  LEFT=
  for at in ${list[@]+"${list[@]}"}; do
    why=$(fsfreeze -u -- "$at" 2>&1) || [[ $why == *'Invalid argument'* ]] || LEFT=$at
  done
}
# Who ended the freeze ($1) and after how many milliseconds: what is written first stays.
ended_by() {
  local since=0 was=0
  uptime_now
  [[ ! -s $FREEZE/since ]] || read -r since <"$FREEZE/since"
  ((since == 0)) || was=$(((REPLY - since) * 10))
  echo "$1 $was" >"$FREEZE/thawed.$1"
  ln "$FREEZE/thawed.$1" "$FREEZE/thawed"
}
