# Detached jobs: a session of their own that outlives the script and the agent, state in files below the run's folder.
# A job is known by process id and start time, so that a reused id is not taken for it.
need run

started_at() {
  local s
  read -r s <"/proc/$1/stat" || return
  s=${s##*) }
  set -- $s
  [[ $1 != Z ]] && REPLY=${20}
}
job_alive() {
  local at
  read -r JOB_PID at <"$RUN_DIR/$1/pid" || return
  started_at "$JOB_PID" && [[ $REPLY == "$at" ]]
}

# Starts function $2 as job $1. The caller holds the lock.
start_job() {
  local dir=$RUN_DIR/$1 how=(setsid) i
  rm -f "$dir/pid" "$dir/result" "$dir/fault"
  {
    printf "trap '' HUP; set -u; shopt -u patsub_replacement; ulimit -c 0\n"
    declare -p LC_ALL PATH RUN RUN_DIR STAGE TAB UTF8 ${!AWK_*} ${KEEP-}
    printf 'umask 077; DIR=%q\n' "$dir"
    declare -f
    printf 'job_begin; %s\n' "$2"
  } >"$dir/job.sh"
  command -v nice && how+=(nice -n 10)
  command -v ionice && case ${IO_CLASS-} in
    best-effort) how+=(ionice -c 2 -n 7) ;;
    *) how+=(ionice -c 3) ;;
  esac
  "${how[@]}" bash "$dir/job.sh" </dev/null >/dev/null 2>"$dir/log" 3>&- 9>&- &
  for ((i = 0; i < 100; i++)); do
    [[ -s $dir/pid ]] && return
    sleep 0.2
  done
  fail GuestError "the detached $1 job did not start"
}

# In the job.
job_begin() {
  local group
  trap 'job_end failed GuestError "the job ended early: $(tail -n 1 "$DIR/log" | cut -c 1-300)"' EXIT
  # Out of the agent's control group: systemd ends what is in it when the agent is restarted.
  for group in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/systemd/cgroup.procs; do
    [[ -w $group ]] && echo $$ >"$group"
  done
  # Workers of a job that was killed alone may still be ending.
  exec 8>"$DIR/lock"
  flock -w 100 8 || exit
  started_at $$
  echo "$$ $REPLY" >"$DIR/pid.new"
  mv "$DIR/pid.new" "$DIR/pid"
  COUNT=0
  for group in "$DIR"/m*; do [[ ! -d $group ]] || COUNT=$((COUNT + 1)); done
}
progress() { echo "$1 $2 $3 $4 $5" >>"$DIR/progress"; }
# States: done, held (somebody has to see the plan first), failed (start it again and it goes on), refused (that does not help).
job_end() {
  local to=result
  # Of a worker: the job ends with it when all have stopped.
  [[ $BASHPID == $$ ]] || to=fault
  trap - EXIT
  printf '%s\n' "$1" "$2" "${3//$'\n'/ }" >"$DIR/$to.$BASHPID"
  mv "$DIR/$to.$BASHPID" "$DIR/$to"
  exit 0
}
join_workers() {
  local pid well=1
  for pid in "$@"; do wait "$pid" || well=; done
  if [[ -e $DIR/fault ]]; then
    trap - EXIT
    mv "$DIR/fault" "$DIR/result"
    exit 0
  fi
  [[ $well ]] || die 'a worker ended early'
}
die() { job_end failed GuestError "$1"; }
stop() { job_end refused "$1" "$2"; }

# The staging folder at the root of file system $1; the root's own time stays as it was.
remove_stage() {
  touch -r "$1" "$RUN_DIR/root-time"
  rm -rf --one-file-system -- "${1%/}/$STAGE"
  rmdir -- "${1%/}/$STAGE.aside"
  touch -r "$RUN_DIR/root-time" "$1"
}
