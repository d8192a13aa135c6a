# Reads where a detached job is; changes nothing. Without `job`, the verification when it was started, else the copy. A job
# at work is given `waitSeconds` to end first.
job=${IN[job]-}
if [[ ! $job ]]; then
  job=copy
  [[ ! -d $RUN_DIR/verify ]] || job=verify
fi
[[ $job == @(copy|verify) ]] || refuse InvalidInput "unknown job $job"
DIR=$RUN_DIR/$job
[[ -d $DIR ]] || fail NotStarted "no $job of the run $RUN was started in this guest since its last boot"
wait=${IN[waitSeconds]-0}
[[ $wait =~ ^[0-9]{1,2}$ ]] || refuse InvalidInput 'waitSeconds is no number of seconds below 100'
# It and its workers hold this lock: nobody has to look again and again.
if [[ -e $DIR/lock ]] && ((wait > 0)) && job_alive "$job"; then flock -s -w "$wait" 7 7<"$DIR/lock"; fi
# Alive first, then the result: a job that ends in between is then seen with its result.
state=lost message="the process of the $job job is gone"
if job_alive "$job"; then state=running message=; fi
if [[ -e $DIR/result ]]; then
  { read -r state; read -r code; IFS= read -r message; } <"$DIR/result"
  [[ $state != refused ]] || refuse "$code" "$message"
fi
# A job that has only just begun has told nothing yet.
read -r stage done files bytes total < <(tail -n 1 "$DIR/progress") || stage=scanning done=0 files=0 bytes=0 total=0
if [[ $stage == scanning ]]; then
  # What was found so far, of how much nobody knows.
  done=0
  for list in "$DIR"/m*/{b,live}; do
    [[ ! -s $list.raw ]] || list+=.raw
    done=$((done + $(wc -l <"$list" || echo 0)))
  done
fi
if [[ $stage == @(copying|verifying) ]]; then
  # Each piece counts once, whoever did it.
  read -r done bytes < <(awk '!($1 in seen) { seen[$1]; f += $2; b += $3 } END { printf "%d %.0f\n", f, b }' "$DIR/journal") || done=0 bytes=0
  if [[ $stage == copying && -e $DIR/shelf ]]; then
    # What is being staged counts as far as it is there.
    IFS= read -r -d '' shelf <"$DIR/shelf"
    staged=$(du -sk -- "$shelf"/w? | awk '{ k += $1 } END { printf "%.0f", k * 1024 }')
    bytes=$((bytes + ${staged:-0}))
  fi
  ((bytes <= total)) || bytes=$total
fi
more=
if [[ $state == held ]] && read -r entries size digest <"$DIR/deletions"; then
  more=",\"deletions\":{\"entries\":$entries,\"bytes\":$size,\"digest\":\"$digest\"}"
fi
[[ ! -s $DIR/open ]] || more+=",\"openFiles\":$(<"$DIR/open")"
js "$message"
answer "{\"state\":\"$state\",\"stage\":\"$stage\",\"filesDone\":$done,\"filesTotal\":$files,\"bytesDone\":$bytes,\"bytesTotal\":$total,\"message\":$REPLY$more}"
