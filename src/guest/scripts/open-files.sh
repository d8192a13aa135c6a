# Live files that somebody writes to while they are to be replaced, or are read to be compared: a database that runs.

# To $M/open the lines "name, process ids" for the selected live files that processes hold open for writing. Found by device
# and inode: a container has other paths for them.
find_open_files() {
  local device
  : >"$M/open"
  [[ $OPEN_FILES != ignore ]] || return 0
  device=$(find "$TO" -maxdepth 0 -printf %D)
  timeout 60 find -L /proc/[0-9]*/fd -mindepth 1 -maxdepth 1 -type f -printf '%D\t%i\t%p\n' |
    awk -F'\t' -v "device=$device" '
      $1 != device { next }
      {
        split($3, part, "/"); info = "/proc/" part[3] "/fdinfo/" part[5]; flags = ""
        while ((getline line < info) > 0) if (line ~ /^flags:/) { flags = line; sub(/.*[^0-7]/, "", flags) }
        close(info)
        # O_WRONLY or O_RDWR, in octal.
        if (flags != "" && substr(flags, length(flags)) % 4 && !(($2, part[3]) in seen)) { seen[$2, part[3]]; print $2 "\t" part[3] }
      }' >"$M/writers"
  [[ -s $M/writers ]] || return 0
  awk -F'\t' -v 'OFS=\t' 'NR == FNR { who[$1] = who[$1] " " $2; next } $2 == "f" && $9 in who { print $1, who[$9] }' \
    "$M/writers" "$M/live" >"$M/open"
}
# When the copy is about to begin: who they are, to $DIR/open as JSON. Refused when the policy says so.
judge_open_files() {
  local m name pids pid comm files=0 who= shown= paths= n=0 text
  local -A seen=()
  for ((m = 0; m < COUNT; m++)); do
    open_mount "$DIR/m$m"
    while IFS=$TAB read -r name pids; do
      files=$((files + 1))
      if ((files <= 3)); then
        dec "$name"
        text=${TO%/}${REPLY#.}
        js "$text" && paths+=${paths:+,}$REPLY
        shown+=${shown:+, }$text
      fi
      for pid in $pids; do
        [[ ! ${seen[$pid]-} ]] && seen[$pid]=1 && ((n < 5)) && read -r comm <"/proc/$pid/comm" || continue
        n=$((n + 1))
        who+=${who:+, }"$comm (pid $pid)"
      done
    done <"$M/open"
  done
  [[ ! -e $DIR/open ]] || rm -f "$DIR/open"
  ((files == 0)) && return
  who=${who:-a process that has ended since}
  # The next start looks again.
  [[ $OPEN_FILES != refuse ]] || rm -f "$DIR/planned"
  [[ $OPEN_FILES != refuse ]] || stop OpenFiles \
    "$files of the live files are open for writing by $who, such as $shown: stop it with a hook at beforeCopy and start it at afterCopy, then try again; or say that this does not matter (openFiles)"
  js "$who"
  printf '{"files":%d,"processes":%s,"paths":[%s]}\n' "$files" "$REPLY" "$paths" >"$DIR/open"
}
