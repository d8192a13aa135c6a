# Runs an executable that the request names, once: as a detached job, or finds that job running or ended. Waits a little for
# its end. Its output stays in the guest, and so does all that is known of it: a second delivery must not run it again.
for key in id command user timeoutSeconds waitSeconds args.#; do need "$key"; done
id=${IN[id]} command=${IN[command]} user=${IN[user]}
[[ $id =~ ^[A-Za-z]{1,20}-[0-9]{1,4}$ && ${IN[timeoutSeconds]} =~ ^[0-9]{1,5}$ ]] || refuse InvalidInput "hook $id cannot be run"
RUN_DIR=/var/log/ecs-rollback/$RUN
DIR=$RUN_DIR/$id
mkdir -p "$RUN_DIR" && exec 9>"$RUN_DIR/lock" && flock -w 50 9 || fail GuestError "cannot make $RUN_DIR"
if [[ ! -e $DIR/begun ]]; then
  [[ $command == /* && -f $command && -x $command ]] || refuse HookNotFound "$command is not an executable file in the guest"
  uid=$(id -u -- "$user") || refuse HookUserUnknown "the guest has no user $user"
  [[ $uid != 0 || ! $(find -L "$command" -maxdepth 0 -perm -o+w) ]] ||
    refuse HookNotSafe "$command would run as root and everybody may write to it: take the write permission of others away"
  mkdir -p "$DIR"
  {
    printf '%s\0' "$command"
    for ((i = 0; i < IN[args.#]; i++)); do printf '%s\0' "${IN[args.$i]}"; done
  } >"$DIR/argv"
  printf '%s\n' "$user" "${IN[timeoutSeconds]}" "${id%-*}" >"$DIR/how"
  : >"$DIR/begun"
  hook_job() {
    local argv=() a user seconds point home rc=0 bytes timed=false as=()
    while IFS= read -r -d '' a; do argv+=("$a"); done <"$DIR/argv"
    { read -r user; read -r seconds; read -r point; } <"$DIR/how"
    home=$(awk -F: -v u="$user" '$1 == u { print $6; exit }' /etc/passwd)
    if [[ $(id -u -- "$user") != 0 ]]; then
      if runuser -u "$user" -- true; then as=(runuser -u "$user" --)
      else as=(setpriv --reuid "$(id -u -- "$user")" --regid "$(id -g -- "$user")" --init-groups --); fi
    fi
    cd /
    : >"$DIR/output"
    umask 022
    SECONDS=0
    # To a file and not through a pipe: what the hook leaves running in the background must not be waited for.
    timeout -k 10 "$seconds" ${as[@]+"${as[@]}"} env -i "PATH=$PATH" "HOME=${home:-/}" "USER=$user" "LOGNAME=$user" LANG=C.UTF-8 \
      "ECS_ROLLBACK_RUN=$RUN" "ECS_ROLLBACK_HOOK=$point" "${argv[@]}" </dev/null >"$DIR/output" 2>&1 || rc=$?
    ((rc != 124 && rc != 137 || SECONDS < seconds)) || timed=true
    bytes=$(stat -c %s "$DIR/output")
    if ((bytes > 1048576)); then
      tail -c 1048576 "$DIR/output" >"$DIR/output.end"
      mv "$DIR/output.end" "$DIR/output"
    fi
    job_end "done" '' "$rc $timed $bytes"
  }
  start_job "$id" hook_job
fi
exec 9>&-
for ((end = SECONDS + IN[waitSeconds]; SECONDS < end; )); do
  [[ ! -e $DIR/result ]] && job_alive "$id" || break
  sleep 0.2
done
state=running
# Alive first, then the result: a job that ends in between is then seen with its result.
job_alive "$id" || state=lost
rc=0 timed=false bytes=0
if [[ -e $DIR/result ]]; then
  { read -r state; read -r code; read -r rc timed bytes; } <"$DIR/result"
  [[ $state == "done" ]] || state=lost rc=0 timed=false bytes=0
fi
answer "{\"state\":\"$state\",\"exitCode\":$rc,\"timedOut\":$timed,\"outputBytes\":$bytes,\"outputFile\":\"$DIR/output\"}"
