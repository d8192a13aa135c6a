# Leaves in the guest what a copy works with; too large to travel with the paths. Workers stage pieces of the plan in a
# private folder of the same file system and rename each file, or whole new tree, into its place: at no moment is there half
# a file under its own name. What is replaced stays in a folder of the run beside.
need run

# Brings the entries named in list $3 (NUL) from $1 to below $2, with everything they are; directories without content.
transfer() {
  (
    set -o pipefail
    if ((RATE)); then pack "$1" "$3" | limited | unpack "$2"; else pack "$1" "$3" | unpack "$2"; fi
  )
}
pack() {
  tar -C "$1" --null --no-unquote --no-recursion --format=posix --sparse --numeric-owner "${TAR[@]}" -T "$2" -cf -
}
unpack() {
  tar -C "$1" --numeric-owner --same-owner -p --delay-directory-restore "${TAR[@]}" -xf -
}
# Runs a tool that must succeed.
must() {
  local errors=$DIR/errors$BASHPID
  "$@" 2>"$errors" && return
  full_or_die "$1 failed" "$errors"
}
full_or_die() {
  local first
  ! grep -q 'No space left\|quota exceeded' "$2" ||
    stop NoSpace "${TO:-/} is full: make room and try again, the copy goes on where it stopped"
  first=$(head -n 1 "$2" | tr -d '\0' | cut -c 1-300)
  die "$1: $first"
}
# The directories of list $1, from the top down. A live one that is not reached by directories only is left out.
live_dirs() {
  cd -P -- "$TO" || die "$TO is gone"
  awk "$AWK_LISTS"'{ do { if ($0 in seen) break; seen[$0]; print } while (sub(/\/[^\/]*$/, "")) }' "$1" | decode | look "$M/ways"
  awk "$AWK_LISTS"'function up(name) { sub(/\/[^\/]*$/, "", name); return name }
    $2 == "d" && ($1 == "." || up($1) in good) { good[$1]; print $1 }' "$M/ways" | sorted | comm -12 - "$1"
}

copy_mount() {
  local name w dir flags
  SHELF=${TO%/}/$STAGE ASIDE=${TO%/}/$STAGE.aside ASIDE_BEFORE=
  [[ ! -e $ASIDE ]] || ASIDE_BEFORE=1
  printf '%s\0' "$SHELF" >"$DIR/shelf"
  touch -r "$TO" "$DIR/root-time"
  mkdir -p "$SHELF/t" "$ASIDE" && [[ ! -L $SHELF && ! -L $ASIDE ]] || die "cannot make $SHELF"
  chmod 00700 "$SHELF" "$ASIDE"
  setfacl -bk "$SHELF" "$ASIDE"
  touch -r "$DIR/root-time" "$TO"
  # Pieces that were at work when the last attempt ended, and those that were done.
  for w in "$M"/w?/*; do [[ ! -e $w ]] || mv -f "$w" "$M/c/"; done
  [[ ! -s $DIR/journal ]] ||
    while read -r name _; do rm -f "$M/c/$name"; done < <(grep "^${M##*/}/" "$DIR/journal" | sed 's,^[^/]*/,,')

  # Of the entries that are brought back on B: set at the end, since nothing can be changed then.
  cd -P -- "$FROM" || die "$FROM is gone"
  [[ -e $M/flags ]] || { flagged <"$M/brought" >"$M/flags.new" && sort_list "$M/flags.new" && mv "$M/flags.new" "$M/flags"; } &
  flags=$!
  change_flags - "$M/locked" "$TO"
  [[ ! -e $M/flags-begun ]] || change_flags - "$M/flags" "$TO"

  make_way '!'
  if [[ -s $M/dirs && ! -e $M/dirs-made ]]; then
    decode <"$M/dirs" >"$DIR/list"
    must transfer "$FROM" "$SHELF/t" "$DIR/list"
    : >"$M/dirs-made"
  fi
  pool new
  if [[ -s $M/tops && ! -e $M/tops-placed ]]; then
    sync -f "$SHELF" || sync
    while IFS= read -r name; do
      dec "$name"
      [[ ! -d $SHELF/t/$REPLY ]] || merge "$SHELF/t/${REPLY%/*}" "${REPLY%/*}" "${REPLY##*/}"
    done <"$M/tops"
    : >"$M/tops-placed"
  fi
  pool put
  [[ $REMOVE == 0 ]] || make_way '[^!]'
  live_dirs "$M/meta" | decode >"$DIR/list"
  [[ ! -s $DIR/list ]] || must transfer "$FROM" "$TO" "$DIR/list"
  relabel
  join_workers "$flags"
  : >"$M/flags-begun"
  sort_list "$M/kept" -u
  : >"$M/flags-set"
  [[ ! -s $M/flags ]] || awk "-vkept=$M/kept" "$AWK_LISTS"'BEGIN { open("kept", kept) } !at("kept", $1)' "$M/flags" >"$M/flags-set"
  change_flags + "$M/flags-set" "$TO"
  relock
  dress_aside
  remove_stage "$TO"
}
# The workers take the pieces of kind $1 one by one.
pool() {
  local w pids=() pieces=("$M/c/"*".$1")
  [[ -e ${pieces[0]} ]] || return 0
  for w in $WORKERS; do
    ((w <= ${#pieces[@]})) || break
    mkdir -p "$M/w$w"
    worker "$w" "$1" &
    pids+=("$!")
  done
  join_workers "${pids[@]}"
}
worker() {
  local piece name
  for piece in "$M/c/"*".$2"; do
    name=${piece##*/}
    [[ ! -e $DIR/fault ]] || break
    # Taken by another one?
    [[ -e $piece ]] && mv -T "$piece" "$M/w$1/$name" || continue
    copy_piece "$1" "$M/w$1/$name"
    rm -f "$M/w$1/$name"
  done
  exit 0
}
# $1: worker, $2: piece. Each line of the journal is one that is done: files and bytes of it, and how many were put there.
copy_piece() {
  local shelf=$SHELF/w$1 to=$SHELF/w$1 list=$DIR/list$1 ino size blocks links key meta how name first= sum= files=0 bytes=0 sums=$M/h/${2##*/}.part
  { [[ ! -e $shelf ]] || rm -rf --one-file-system "$shelf"; } && mkdir -p "$shelf" "$M/h" || die "cannot make $shelf"
  : >"$sums" >"$list.n" >"$list.s"
  read -r files bytes < <(awk "-vsockets=$list.s" "-vlist=$list.n" "$AWK_LISTS"'{ b += $3; print $9 >($7 ~ /^s/ ? sockets : list) } END { print NR, b }' "$2")
  IFS=$TAB read -r _ ino size blocks links key meta how name _ <"$2"
  if ((size >= LARGE)); then
    while IFS=$TAB read -r _ ino size blocks links key meta how name _; do
      dec "$name"
      mkdir -p -- "$shelf/${REPLY%/*}"
      if [[ $first ]]; then
        must ln -P -- "$shelf/$first" "$shelf/$REPLY"
      else
        copy_large "$REPLY" "$shelf" "$list" "$size" "$blocks"
        first=$REPLY
        hash_large "$FROM" "$first" "$size" "$blocks" && sum=$REPLY
      fi
      echo "$name$TAB$sum" >>"$sums"
    done <"$2"
    [[ $2 == *.put ]] || must mv -f -T -- "$shelf/$first" "$SHELF/t/$first"
  else
    [[ $2 == *.put ]] || to=$SHELF/t
    if [[ -s $list.n ]]; then
      decode <"$list.n" >"$list"
      must transfer "$FROM" "$to" "$list"
    fi
    if [[ -s $list.s ]]; then
      cd -P -- "$FROM" || die "$FROM is gone"
      decode <"$list.s" >"$list"
      must xargs -0 -a "$list" cp -a --parents -t "$to" --
    fi
    cd -P -- "$FROM" || die "$FROM is gone"
    awk "$AWK_LISTS"'$7 ~ /^f/ { print $9 }' "$2" | decode | hashes >"$sums"
  fi
  COPIED=$files COPIED_BYTES=$bytes
  [[ $2 != *.put ]] || put_piece "$1" "$2"
  mv -f "$sums" "${sums%.part}"
  echo "${M##*/}/${2##*/} $files $bytes $COPIED $COPIED_BYTES" >>"$DIR/journal"
}

# The large file $1 with $4 bytes in $5 blocks to below $2, where its folder is; list $3 is free to use. Written past the page
# cache, where that can be done: it stays with those who work in the guest, and nothing is left to be written at the end.
copy_large() {
  if ((RATE)); then
    printf '%s\0' "$1" >"$3"
    must transfer "$FROM" "$2" "$3"
  else
    (($5 * 512 >= $4)) && dd "if=$FROM/$1" "of=$2/$1" bs=4M oflag=direct &&
      cp -a --attributes-only -- "$FROM/$1" "$2/$1" && return
    must cp -a -- "$FROM/$1" "$2/$1"
  fi
}

# What is to be done with each entry of a staged piece, by what is live at this moment. Lines "how, folder, name, size":
# n nothing is there, f what is there goes aside, r it is ours, b beside. To `kept` what the policy keeps after all.
AWK_PUT='
BEGIN { open("now", now); open("aside", aside) }
{
  size = $3; how = $8
  # Killed between keeping it aside and replacing it: the live name is still the very file that is aside.
  begun = at("aside", $1) ? split(V["aside"], a, "\t") : 0
  if (at("now", $1)) {
    split(V["now"], v, "\t")
    key = v[6] "," (v[9] > 1 ? "-" : v[7]) "," v[8] "," v[5]
    meta = v[1] " " v[2] " " v[3] " " v[4] " " v[5] " " v[6]
    if (how == "b") { }
    else if (v[1] == "d") { lost++; lost_bytes += size; print $1 >skip; next }
    else if (key == $6) how = "f"
    else if (begun && a[8] == v[8] && split($6, k, ",") && k[1] == v[6] && k[3] == v[8] && k[4] == v[5]) how = "f"
    else if (meta == $7 && $5 == 1) { print $1 >skip; next }
    else if (meta == $7) how = "r"
    else if (policy == "take-b") how = "f"
    else { lost++; lost_bytes += size; print $1, "changed-since-plan" >kept; print $1 >skip; next }
  } else how = how == "b" ? "b" : "n"
  name = $1; sub(/.*\//, "", name); sub(/\/[^\/]*$/, "", $1)
  print how, $1, name, size >place
}
END { print lost + 0, lost_bytes + 0 }
'
put_piece() {
  local list=$DIR/list$1 lost lost_bytes
  # On disk before it gets its name: a power cut must not leave an empty file there.
  sync -f "$SHELF" || sync
  awk "$AWK_LISTS"'{ print $9, $2, $3, $4, $5, $6, $7, $8 }' "$2" | sorted >"$list.p"
  cd -P -- "$TO" || die "$TO is gone"
  cut -f1 "$list.p" | decode | look "$list.now"
  : >"$list.aside"
  if [[ $ASIDE_BEFORE ]]; then
    cd -P -- "$ASIDE" || die "$ASIDE is gone"
    cut -f1 "$list.p" | decode | look "$list.aside"
  fi
  : >"$list.place"
  : >"$list.kept"
  : >"$list.skip"
  read -r lost lost_bytes < <(awk "-vnow=$list.now" "-vaside=$list.aside" "-vkept=$list.kept" "-vplace=$list.place" "-vskip=$list.skip" "-vpolicy=$POLICY" "$AWK_LISTS $AWK_PUT" "$list.p")
  COPIED=$((COPIED - lost)) COPIED_BYTES=$((COPIED_BYTES - lost_bytes))
  if [[ -s $list.skip ]]; then
    cd -P -- "$SHELF/w$1" && decode <"$list.skip" | xargs -0 rm -f --
  fi
  place_all "$list.place" "$SHELF/w$1" "$list.kept"
  [[ ! -s $list.kept ]] || cat "$list.kept" >>"$M/kept"
}
# Puts the entries of list $1 ("how, folder, name, size") from below $2 into their places; to $3 what did not move.
place_all() {
  local how dir name size last= names=()
  sorted -t "$TAB" -k1,1 -k2,2 -o "$1" "$1"
  while IFS=$TAB read -r how dir name size; do
    if [[ $how$TAB$dir != "$last" ]] || ((${#names[@]} >= 500)); then
      place_names "$last" "$2"
      last=$how$TAB$dir names=()
    fi
    dec "$name"
    names+=("$REPLY")
  done <"$1"
  place_names "$last" "$2"
  # What has not moved: a live entry came to be at the last moment. It stays.
  [[ $2 ]] || return 0
  while IFS= read -r -d '' name; do
    enc "$name"
    into "${name%/*}"
    [[ -e ./${name##*/} || -L ./${name##*/} ]] || die "${TO%/}${name#.} could not be put in its place"
    echo "$REPLY${TAB}changed-since-plan" >>"$3"
    size=$(stat -c %s -- "$2/$name")
    COPIED=$((COPIED - 1)) COPIED_BYTES=$((COPIED_BYTES - size))
  done < <(cd -P -- "$2" && find . ! -type d -print0)
}
# Goes into the live folder $1, so that no link can lead elsewhere meanwhile.
into() {
  local at=${TO%/}${1#.}
  cd -P -- "$at/" || die "$at is gone"
  [[ $PWD == "${at:-/}" ]] || die "$at has become a symbolic link while the copy ran"
}
place_names() {
  local how=${1%%"$TAB"*} dir=${1#*"$TAB"} n staged=() errors=$DIR/errors$BASHPID
  ((${#names[@]})) || return 0
  dec "$dir"
  dir=$REPLY
  into "$dir"
  for n in "${names[@]}"; do staged+=("$2/$dir/$n"); done
  case $how in
    n) mv -n -t . -- "${staged[@]}" 2>"$errors" ;;
    r) mv -f -t . -- "${staged[@]}" 2>"$errors" ;;
    f)
      aside_dir "$dir"
      # What is aside from an earlier attempt is the original: it is never replaced.
      ln -P -t "$ASIDE/$dir" -- "${names[@]}" 2>"$errors" ||
        for n in "${names[@]}"; do
          [[ -e $ASIDE/$dir/$n || -L $ASIDE/$dir/$n || ! -e ./$n && ! -L ./$n ]] ||
            full_or_die "could not keep ${TO%/}${dir#.}/$n aside" "$errors"
        done
      mv -f -t . -- "${staged[@]}" 2>"$errors"
      ;;
    b)
      for n in "${names[@]}"; do
        mv -n -T -- "$2/$dir/$n" "./${n:0:255-${#BESIDE}}$BESIDE" 2>"$errors"
      done
      ;;
    d)
      aside_dir "$dir"
      mv -n -t "$ASIDE/$dir" -- "${names[@]}" 2>"$errors"
      ;;
  esac
  [[ ! -s $errors ]] || ! grep -q 'No space left\|quota exceeded' "$errors" || full_or_die '' "$errors"
}
aside_dir() { must mkdir -p -- "$ASIDE/$1"; }
# The folders of what is aside become like the live ones, for whoever wants one of those back.
dress_aside() {
  cd -P -- "$ASIDE" || die "$ASIDE is gone"
  find . -mindepth 1 -type d -print0 >"$DIR/list"
  [[ -s $DIR/list ]] || return 0
  encode <"$DIR/list" | sorted >"$M/aside-dirs"
  live_dirs "$M/aside-dirs" | decode >"$DIR/list"
  [[ ! -s $DIR/list ]] || must transfer "$TO" "$ASIDE" "$DIR/list"
}
# Puts the staged tree $3 of folder $1 into the live folder $2. Where one came to be meanwhile, they are merged.
merge() {
  local name errors=$DIR/errors
  into "$2"
  mv -n -T -- "$1/$3" "./$3" 2>"$errors"
  [[ -e $1/$3 || -L $1/$3 ]] || return 0
  if [[ -d $1/$3 && ! -L $1/$3 && -d ./$3 && ! -L ./$3 ]]; then
    while IFS= read -r -d '' name; do merge "$1/$3" "$2/$3" "$name"; done \
      < <(find "$1/$3" -mindepth 1 -maxdepth 1 -printf '%f\0')
  elif [[ -e ./$3 || -L ./$3 ]]; then
    enc "$2/$3"
    echo "$REPLY${TAB}changed-since-plan" >>"$M/kept"
  else
    full_or_die "${TO%/}${2#.}/$3 could not be put in its place" "$errors"
  fi
}
# Moves aside what the plan has in `away` of kind $1, unless it has changed since: files first, then directories that are empty.
make_way() {
  local dir
  [[ -s $M/away ]] || return 0
  cd -P -- "$TO" || die "$TO is gone"
  grep "^$1$TAB" "$M/away" | awk "$AWK_LISTS"'{ print $3, $2 }' | sorted >"$M/go"
  [[ -s $M/go ]] || return 0
  cut -f1 "$M/go" | decode | look "$M/now"
  : >"$M/go-dirs"
  awk "-vgo=$M/go" "-vdirs=$M/go-dirs" "$AWK_LISTS"'BEGIN { open("go", go) }
    { ctime = $8; name = $1; sub(/.*\//, "", name) }
    !at("go", $1) { next }
    $2 == "d" { print $1 >dirs; next }
    V["go"] == ctime { sub(/\/[^\/]*$/, "", $1); print "d", $1, name, 0 }' "$M/now" >"$M/go-place"
  # A folder that goes leaves what it was, for whoever wants it back.
  decode <"$M/go-dirs" >"$DIR/list"
  [[ ! -s $DIR/list ]] || must transfer "$TO" "$ASIDE" "$DIR/list"
  place_all "$M/go-place" ''
  while IFS= read -r dir; do
    dec "$dir"
    into "${REPLY%/*}"
    rmdir -- "${REPLY##*/}" 2>/dev/null
  done < <(sorted -r "$M/go-dirs")
  wc -l <"$M/go-place" >>"$M/gone"
}

copy_all() {
  local m able
  TAR=()
  able=$(tar --help)
  [[ $able == *--xattrs* ]] && TAR+=(--xattrs '--xattrs-include=*')
  [[ $able == *--acls* ]] && TAR+=(--acls)
  [[ $able == *--selinux* && -d /sys/fs/selinux ]] && TAR+=(--selinux)
  BESIDE=.from-b-$RUN
  progress copying 0 "$FILES" 0 "$BYTES"
  for ((m = 0; m < COUNT; m++)); do
    open_mount "$DIR/m$m"
    copy_mount
    sync -f "$TO" || sync
  done
  awk '{ f += $4; b += $5 } END { printf "%d %.0f\n", f, b }' "$DIR/journal" >"$DIR/copied"
  : >"$DIR/ended"
  progress "done" "$FILES" "$FILES" "$BYTES" "$BYTES"
  job_end "done" '' ''
}
lock
{ declare -p ${!AWK_*} && declare -f; } >"$RUN_DIR/engine.new" && mv "$RUN_DIR/engine.new" "$RUN_DIR/engine" ||
  fail GuestError "cannot write to $RUN_DIR"
answer '{}'
