# Starts the verification as a detached job, or finds it running or done: after dropping the caches, every selected entry of
# the recovery disk against what is live: type, mode, owner, size, time, link target, hard links, content and attributes.
lock
[[ -e $RUN_DIR/copy/ended ]] || refuse NotCopied "the copy of the run $RUN has not ended in this guest since its last boot"
TOOL=$(<"$RUN_DIR/copy/tool")
DIR=$RUN_DIR/verify
reply() { answer "{\"tool\":\"$TOOL\",\"alreadyRunning\":$1}"; }
if job_alive verify; then reply true; fi
if read -r state <"$DIR/result" && [[ $state == done ]]; then reply true; fi
rm -rf "$DIR"
mkdir "$DIR"
for m in "$RUN_DIR/copy/m"*; do
  mkdir "$DIR/${m##*/}"
  cp -- "$m/from" "$m/to" "$m/paths" "$m/kept" "$DIR/${m##*/}"
done

# Lines "name, hash" for the regular files named on standard input, below the current folder.
hashes() {
  xargs -0 -r sha256sum -- |
    sed -E '/^\\/{s/^.//;s/\\\\/\\s/g;s/\\r/\r/g};s/\t/\\t/g;s/^([0-9a-f]{64}) [ *](.*)$/\2\t\1/'
}
# Lines "name, attributes" for those of the names on standard input that have any.
attributes() {
  local line name= all=
  while IFS= read -r line; do
    case $line in
      '# file: '*)
        # It writes odd bytes as \nnn, and the backslash too.
        line=${line#'# file: '}
        printf -v name '%b' "${line//\\/\\0}"
        enc "$name"
        name=$REPLY all=
        ;;
      '') [[ ! $all ]] || echo "$name$TAB$all" ;;
      *) all+="|$line" ;;
    esac
  done < <(xargs -0 -r getfattr -h -d -m - -e hex --absolute-names -- && echo)
}
names_of() { cut -f1 "$1" | decode; }

# Hashes of the regular files in rows $1, below folder $2, into $3. $4: count them as progress.
hash_rows() {
  local name type size rest list=() bytes=0
  cd -P -- "$2" || die "$2 is gone"
  : >"$3"
  while IFS=$TAB read -r name type _ _ _ size rest; do
    [[ $type == f ]] || continue
    list+=("$name")
    bytes=$((bytes + size))
    ((${#list[@]} < 500 && bytes < 67108864)) || hash_chunk "$3" "$4"
  done <"$1"
  ((${#list[@]} == 0)) || hash_chunk "$3" "$4"
}
hash_chunk() {
  printf '%s\n' "${list[@]}" | decode | hashes >>"$1"
  if [[ $2 ]]; then
    FILES_DONE=$((FILES_DONE + ${#list[@]})) BYTES_DONE=$((BYTES_DONE + bytes))
    progress verifying "$FILES_DONE" "$FILES" "$BYTES_DONE" "$BYTES"
  fi
  list=() bytes=0
}

# Reads the next line of stream $1 (a sorted list) into NEXT[$1]; at its end there is none.
next() { IFS= read -r "NEXT[$1]" <&"$1" || NEXT[$1]=; }
# REPLY = what stream $1 has for $name, if anything.
at_name() {
  REPLY=
  if [[ ${NEXT[$1]} == "$name$TAB"* ]]; then
    REPLY=${NEXT[$1]#*"$TAB"}
    next "$1"
  fi
}
compare_mount() {
  local name type mode uid gid size mtime ctime ino links blocks target lt lm lu lg ls lmt lct li lk lb lx
  local line b_hash l_hash b_attr l_attr kept group shown why
  local -A b_group=() l_group=()
  NEXT=()
  for line in b-hash live-hash b-attr live-attr kept; do [[ ! -s $M/$line ]] || sort -u -o "$M/$line" "$M/$line"; done
  exec 3<"$M/live" 4<"$M/b-hash" 5<"$M/live-hash" 6<"$M/b-attr" 7<"$M/live-attr" 8<"$M/kept"
  for line in 3 4 5 6 7 8; do next $line; done
  enc "${TO%/}"
  local prefix=$REPLY
  while IFS=$TAB read -r name type mode uid gid size mtime ctime ino links blocks target; do
    at_name 3 && line=$REPLY
    at_name 4 && b_hash=$REPLY
    at_name 5 && l_hash=$REPLY
    at_name 6 && b_attr=$REPLY
    at_name 7 && l_attr=$REPLY
    at_name 8 && kept=$REPLY
    lt= lm= lu= lg= ls= lmt= lct= li= lk= lb= lx=
    [[ ! $line ]] || IFS=$TAB read -r lt lm lu lg ls lmt lct li lk lb lx <<<"$line"
    if [[ $type == [bc] ]]; then
      dec "$name"
      target=$(rdev "$FROM" "$REPLY") lx=$(rdev "$TO" "$REPLY")
    fi
    group=
    if [[ $type == d ]]; then
      size=0 ls=0
      # Somebody has put something into the directory since the copy ended.
      [[ $lt == d ]] && newer "$lmt" "$ENDED" && lmt=$mtime
    else
      SELECTED=$((SELECTED + 1)) SELECTED_BYTES=$((SELECTED_BYTES + size))
      if ((links > 1)); then
        group=${b_group[$ino]-}
        [[ $group ]] || b_group[$ino]=$name group=$name
      fi
    fi
    printf '%s\t%s\n' "$prefix${name#.}" "$type $mode $uid $gid $size $mtime $b_hash $group $target $b_attr" >&9
    [[ $type != f || $b_hash ]] || die "a selected file could not be read on the recovery disk"
    why=
    [[ "$type $mode $uid $gid $size $mtime $target" == "$lt $lm $lu $lg $ls $lmt $lx" ]] || why=metadata
    [[ $b_hash == "$l_hash" ]] || why=content
    [[ $b_attr == "$l_attr" ]] || why=attributes
    # The first name of a file on B stands for all: they must be one file live too, and no other's.
    if [[ ! $why && ! $kept && $type != d ]]; then
      if ((links > 1)); then
        [[ ${l_group[$group]-$li} == "$li" ]] || why=links
        l_group[$group]=$li
      fi
      if ((links > 1 || lk > 1)); then
        [[ ${l_owner[$li]-${group:-$name}} == "${group:-$name}" ]] || why=links
        l_owner[$li]=${group:-$name}
      fi
    fi
    [[ $why ]] || continue
    if [[ $kept ]]; then
      [[ $type == d ]] || KEPT=$((KEPT + 1))
      continue
    fi
    WRONG=$((WRONG + 1))
    dec "$name"
    js "${TO%/}${REPLY#.}"
    if ((WRONG <= 50 && ${#SHOWN} + ${#REPLY} < 12000)); then SHOWN+=${SHOWN:+,}$REPLY; fi
  done <"$M/b"
}

verify_job() {
  local m name type size rest
  FILES=0 BYTES=0 FILES_DONE=0 BYTES_DONE=0 SELECTED=0 SELECTED_BYTES=0 KEPT=0 WRONG=0 SHOWN=
  declare -gA l_owner=()
  declare -ga NEXT=()
  progress scanning 0 0 0 0
  sync
  echo 3 >/proc/sys/vm/drop_caches
  ENDED=$(find "$RUN_DIR/copy/ended" -printf %T@)
  XATTRS=false
  command -v getfattr && XATTRS=true
  for ((m = 0; m < COUNT; m++)); do
    open_mount "$DIR/m$m"
    scan
    while IFS=$TAB read -r name type _ _ _ size rest; do
      [[ $type == f ]] && FILES=$((FILES + 1)) BYTES=$((BYTES + size))
    done <"$M/b"
    : >"$M/b-attr"
    : >"$M/live-attr"
    [[ $XATTRS == true ]] || continue
    cd -P -- "$FROM" && names_of "$M/b" | attributes >"$M/b-attr"
    cd -P -- "$TO" && names_of "$M/live" | attributes >"$M/live-attr"
  done
  progress verifying 0 "$FILES" 0 "$BYTES"
  exec 9>"$DIR/manifest"
  for ((m = 0; m < COUNT; m++)); do
    open_mount "$DIR/m$m"
    hash_rows "$M/b" "$FROM" "$M/b-hash" ''
    hash_rows "$M/live" "$TO" "$M/live-hash" count
    l_owner=()
    compare_mount
  done
  exec 9>&-
  local digest ok=false copied bytes
  read -r digest _ < <(sha256sum <"$DIR/manifest")
  ((WRONG > 0)) || ok=true
  read -r copied bytes <"$RUN_DIR/copy/copied"
  printf '{"tool":"%s","filesSelected":%d,"bytesSelected":%d,"filesCopied":%d,"bytesCopied":%d,"filesKeptLive":%d,"verified":%s,"xattrsCompared":%s,"digest":"%s","mismatches":[%s],"mismatchCount":%d}\n' \
    "$TOOL" "$SELECTED" "$SELECTED_BYTES" "$copied" "$bytes" "$KEPT" "$ok" "$XATTRS" "$digest" "$SHOWN" "$WRONG" >"$DIR/verdict"
  progress "done" "$FILES" "$FILES" "$BYTES" "$BYTES"
  job_end "done" '' ''
}
start_job verify verify_job
reply false
