/**
 * The few lines of shell by which the data plane works inside a guest, sent through the guest agent each time. They run
 * in the image's static busybox, whose commands need no new program: in an emulated guest each start of a dynamically
 * linked one costs some 40 ms.
 */

/** The shell these scripts are for; put there by the guest image. */
export const GUEST_SHELL = '/usr/libexec/data-plane/busybox';

/**
 * Arguments: name, user, folder; standard input: the script. Runs it as a file in a process group of its own. Its output
 * goes to a file first: a pipe would stay open, and the agent would wait, as long as any child of the script lives.
 */
export const RUN_SCRIPT = `
umask 077
dir=/run/ecs-exec/$1 user=$2 folder=$3 found=
mkdir -p -m 711 /run/ecs-exec && mkdir -m 711 "$dir" && cat >"$dir/script" && chmod 500 "$dir/script" || exit 125
while IFS=: read -r name _ uid gid _ home _; do
  if [ "$name" = "$user" ]; then found=1; break; fi
done </etc/passwd
if [ -z "$found" ]; then echo "user $user does not exist"; rm -rf "$dir"; exit 125; fi
if [ "$uid" != 0 ]; then chown "$uid" "$dir/script"; fi
(
  umask 022
  cd "$folder" 2>/dev/null || { echo "cannot cd to $folder: no such folder"; exit 125; }
  export HOME="$home" USER="$user" LOGNAME="$user"
  if [ "$uid" = 0 ]; then exec setsid "$dir/script"; fi
  exec setsid /usr/bin/setpriv --reuid="$uid" --regid="$gid" --init-groups -- "$dir/script"
) </dev/null >"$dir/output" 2>&1 &
echo $! >"$dir/pid"
if [ -e "$dir/stop" ]; then kill -KILL $!; fi
# Without this, the shell's own word on how the script was killed would be taken for output of the script.
exec 2>/dev/null
wait $!
status=$?
cat "$dir/output"
rm -rf "$dir"
exit $status
`;

/**
 * Argument: the name given to RUN_SCRIPT. Ends the script's process group: asks first, kills after two seconds. No `--`
 * before the group: this kill takes it for a process.
 */
export const STOP_SCRIPT = `
dir=/run/ecs-exec/$1 tries=0
# The script may be about to start: its own shell looks for this mark then.
while [ ! -d "$dir" ] && [ $tries -lt 20 ]; do
  tries=$((tries + 1))
  sleep 0.1
done
[ -d "$dir" ] || exit 0
tries=0
: >"$dir/stop"
read -r pid 2>/dev/null <"$dir/pid" || exit 0
kill -TERM "-$pid" 2>/dev/null
while [ $tries -lt 20 ]; do
  kill -0 "-$pid" 2>/dev/null || exit 0
  tries=$((tries + 1))
  sleep 0.1
done
kill -KILL "-$pid" 2>/dev/null
exit 0
`;

/** Arguments: path, mode, owner, group, `true` to overwrite; standard input: the file. Exit status 17: it exists. */
export const RECEIVE_FILE = `
path=$1 mode=$2 owner=$3 group=$4 overwrite=$5
if [ -d "$path" ]; then echo "$path is a folder"; exit 21; fi
if [ "$overwrite" != true ] && [ -e "$path" ]; then echo "$path exists already"; exit 17; fi
exec 2>&1
mkdir -p -- "\${path%/*}/" || exit 1
part=$(mktemp "$path.XXXXXX") || exit 1
cat >"$part" && chown "$owner:$group" "$part" && chmod "$mode" "$part" && mv -f "$part" "$path" && exit 0
rm -f -- "$part"
exit 1
`;
