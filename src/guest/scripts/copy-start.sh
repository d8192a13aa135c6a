# Starts the copy as a detached job, or finds it running or done. The job decides once what to bring back (the plan), then
# brings it back with what `copy-engine` has left in the guest. Started again after a crash, it goes on with the same plan.
need mounts.#
need conflictPolicy
[[ ${IN[conflictPolicy]} == @(newer-wins|keep-live|take-b|both) ]] || refuse InvalidInput "unknown policy ${IN[conflictPolicy]}"
for tool in awk tar xargs find sha256sum; do
  command -v "$tool" || refuse GuestTooBare "the guest has no $tool, which the copy needs"
done
# A side folder stands for the root of the file system: on it, made where it is missing, and reached through no link.
side_folder() {
  local side=${IN[into]%/} i m=-1
  ((IN[mounts.#] == 1)) || refuse SeveralFileSystems "the paths lie on ${IN[mounts.#]} file systems, and one folder is on one: bring them back in several runs"
  link_on_way / "${side#/}/"
  [[ ! $REPLY ]] || refuse PathThroughSymlink "$side goes through $REPLY, a symbolic link: name the real path"
  read_mounts
  for i in "${!M_AT[@]}"; do
    [[ ${M_AT[i]} == / || $side == "${M_AT[i]}" || $side == "${M_AT[i]}/"* ]] && ((m < 0 || ${#M_AT[i]} >= ${#M_AT[m]})) && m=$i
  done
  [[ ${M_AT[m]} == "${IN[mounts.0.originalMount]}" ]] ||
    refuse NotOnDisk "$side is on the file system at ${M_AT[m]}, and has to be on that of the paths, at ${IN[mounts.0.originalMount]}"
  [[ -d $side ]] && return
  mkdir -p -- "$side" && chown --reference="${IN[mounts.0.recoveryMount]}" -- "$side" &&
    chmod --reference="${IN[mounts.0.recoveryMount]}" -- "$side" || refuse NotAFolder "$side cannot be made"
}
lock
[[ -e $RUN_DIR/engine ]] || fail NoEngine 'copy-engine has not run since the last boot of this guest'
DIR=$RUN_DIR/copy
mkdir -p "$DIR"
reply() { answer "{\"alreadyRunning\":$1$([[ ! -s $DIR/open ]] || echo ",\"openFiles\":$(<"$DIR/open")")}"; }
if job_alive copy; then reply true; fi
# The list that `put-list` took, into $DIR/m*/only: the names on each file system, each on the one that is mounted nearest.
split_list() {
  local i
  [[ $(sha256sum <"$RUN_DIR/list.gz") == "${IN[list]} "* ]] || fail NoList 'the list of paths is not there: it was sent before the last boot of this guest'
  for ((i = 0; i < IN[mounts.#]; i++)); do
    enc "${IN[mounts.$i.originalMount]%/}" && printf '%s\t%s\n' "$DIR/m$i/only" "$REPLY"
  done >"$DIR/homes"
  gzip -dc "$RUN_DIR/list.gz" | encode | awk -F'\t' '
    NR == FNR { home[$1] = $2; printf "" >$1; next }
    { best = ""; for (own in home) if (index($0 "/", home[own] "/") == 1 && (best == "" || length(home[own]) > length(home[best]))) best = own }
    best != "" { print "." substr($0, length(home[best]) + 1) >best }' "$DIR/homes" -
  for ((i = 0; i < IN[mounts.#]; i++)); do sorted -u -o "$DIR/m$i/only" "$DIR/m$i/only"; done
}
# All that the plan depends on.
asked() {
  local key
  for key in "${!IN[@]}"; do [[ $key == @(deletions|planOnly) ]] || printf '%s=%q\n' "$key" "${IN[$key]}"; done | sort
}
if [[ -e $DIR/input && $(<"$DIR/input") == "$(asked)" ]]; then
  read -r state <"$DIR/result" && [[ $state == done ]] && reply true
else
  rm -rf "$DIR"
  mkdir -p "$DIR"
  [[ ! ${IN[into]+set} ]] || side_folder
  for ((i = 0; i < IN[mounts.#]; i++)); do
    for key in recoveryMount originalMount paths.#; do need "mounts.$i.$key"; done
    mkdir "$DIR/m$i"
    printf '%s\0' "${IN[mounts.$i.recoveryMount]}" >"$DIR/m$i/from"
    printf '%s\0' "${IN[into]-${IN[mounts.$i.originalMount]}}" >"$DIR/m$i/to"
    printf '%s\0' "${IN[mounts.$i.originalMount]}" >"$DIR/m$i/home"
    for ((k = 0; k < IN[mounts.$i.paths.#]; k++)); do
      p=${IN[mounts.$i.paths.$k]}
      printf '%s\0' ".${p:+/$p}"
    done >"$DIR/m$i/paths"
  done
  [[ ! ${IN[list]+set} ]] || split_list
  for key in include exclude; do
    : >"$DIR/$key"
    for ((i = 0; i < ${IN[$key.#]-0}; i++)); do printf '%s\0' "${IN[$key.$i]}" >>"$DIR/$key"; done
  done
  asked >"$DIR/input"
fi
POLICY=${IN[conflictPolicy]} REMOVE=0 SINCE= PLAN_ONLY=${IN[planOnly]-} MAY_DELETE=${IN[deletions]-}
[[ ${IN[delete]-} != true ]] || REMOVE=1
ONLY_SINCE_A=
[[ ${IN[sinceA]-} != true ]] || ONLY_SINCE_A=1
# After another boot, and in a side folder, nothing tells what has changed since the reset.
[[ ${IN[base.bootId]-} != "$BOOT" || ${IN[into]+set} ]] || SINCE=${IN[base.bootedAt]-}
[[ ! $SINCE || $SINCE =~ ^[0-9]+(\.[0-9]+)?$ ]] || refuse InvalidInput 'base.bootedAt is no time'
OPEN_FILES=${IN[openFiles]-warn} RATE=${IN[throttle.mibPerSecond]-0} IO_CLASS=${IN[throttle.ioClass]-idle}
[[ $OPEN_FILES == @(warn|refuse|ignore) && $IO_CLASS == @(idle|best-effort) && $RATE =~ ^[0-9]{1,6}$ ]] ||
  refuse InvalidInput 'openFiles or throttle is not as it must be'
echo "$RATE $IO_CLASS" >"$DIR/throttle"
((RATE == 0)) || WORKERS=1
KEEP+=' POLICY REMOVE SINCE KEPT_DIR PLAN_ONLY MAY_DELETE ONLY_SINCE_A OPEN_FILES RATE'
[[ $SINCE || $REMOVE$ONLY_SINCE_A == 0 ]] ||
  refuse NoBase "what was there right after the reset is not known, since the guest was booted again or no reset went before: nothing can be deleted, nor told to be new since A"

# "entries, bytes, digest" of what the plan would delete.
list_deletions() {
  local m digest some=$PLAN_ONLY
  for ((m = 0; m < COUNT; m++)); do [[ ! -s $DIR/m$m/away ]] || some=true; done
  echo 0 0 none >"$DIR/deletions"
  [[ $some == true ]] || return 0
  for ((m = 0; m < COUNT; m++)); do
    open_mount "$DIR/m$m"
    grep "^[^!]$TAB" "$M/away" | sorted
    echo "$TO"
  done >"$DIR/deletions.new"
  read -r digest _ < <(sha256sum <"$DIR/deletions.new")
  awk -F'\t' -v d="$digest" '$2 == "delete" { n++; b += $3 } END { printf "%d %.0f %s\n", n, b, d }' "$DIR"/m*/report >"$DIR/deletions"
}
# Which directories get the attributes they have on B is kept beyond the boot: what a copy has changed itself before a reboot
# ended it would be taken for newer afterwards.
promise_directories() {
  local m list=$KEPT_DIR/directories
  for ((m = 0; m < COUNT; m++)); do
    open_mount "$DIR/m$m"
    enc "${TO%/}"
    PREFIX=$REPLY awk '{ print ENVIRON["PREFIX"] substr($0, 2) }' "$M/meta"
  done | sorted -u - "$(compgen -G "$list" || echo /dev/null)" >"$list.new" && mv -f "$list.new" "$list" && sync -f "$list"
}
copy_job() {
  local m
  . "$RUN_DIR/engine"
  progress scanning 0 0 0 0
  if [[ ! -e $DIR/planned ]]; then
    FILES=0 BYTES=0
    : >"$DIR/journal"
    for ((m = 0; m < COUNT; m++)); do
      open_mount "$DIR/m$m"
      plan_mount
    done
    keep_report
    list_deletions
    sort -zu -o "$KEPT_DIR/roots" -- "$DIR"/m*/to "$(compgen -G "$KEPT_DIR/roots" || echo /dev/null)"
    echo "$FILES $BYTES" >"$DIR/planned.new"
    mv "$DIR/planned.new" "$DIR/planned"
  fi
  read -r FILES BYTES <"$DIR/planned"
  local entries bytes digest
  read -r entries bytes digest <"$DIR/deletions"
  # What is deleted was seen before, by its digest, or need not be.
  if [[ $PLAN_ONLY == true || $entries != 0 && $MAY_DELETE != @(all|"$digest") ]]; then job_end held '' ''; fi
  [[ -s $DIR/journal ]] || judge_open_files
  [[ -e $DIR/begun ]] || promise_directories
  : >"$DIR/begun"
  copy_all
}
start_job copy copy_job
# A refusal of the plan is answered here when it comes soon; else copy-status has it.
for ((i = 0; i < 30; i++)); do
  if [[ -e $DIR/result ]]; then
    { read -r state; read -r code; IFS= read -r text; } <"$DIR/result"
    [[ $state != refused ]] || refuse "$code" "$text"
    break
  fi
  [[ -e $DIR/begun ]] || ! job_alive copy && break
  sleep 0.4
done
reply false
