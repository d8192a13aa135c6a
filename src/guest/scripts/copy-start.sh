# Starts the copy as a detached job, or finds it running or done. The job decides once what to bring back (the plan), then
# stages batches of files in a private folder of the same file system and renames each file into its place: at no moment
# is there half a file under its own name. Started again after a crash, it goes on with the same plan.
need mounts.#
need conflictPolicy
[[ ${IN[conflictPolicy]} == @(newer-wins|keep-live|take-b) ]] || refuse InvalidInput "unknown policy ${IN[conflictPolicy]}"
TOOL=tar
# Before 3.1.3 rsync takes two times of the same second for one and the same.
able=$(rsync --version) && [[ $able != *no\ @(ACLs|xattrs)* && $able =~ version\ ([0-9]+)\.([0-9]+)\.([0-9]+) ]] &&
  ((BASH_REMATCH[1] * 10000 + BASH_REMATCH[2] * 100 + BASH_REMATCH[3] >= 30103)) && TOOL=rsync
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
DIR=$RUN_DIR/copy
mkdir -p "$DIR"
reply() { answer "{\"tool\":\"$(cat "$DIR/tool")\",\"alreadyRunning\":$1}"; }
if job_alive copy; then reply true; fi
if [[ -e $DIR/input && $(<"$DIR/input") == "$INPUT_B64" ]]; then
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
    for ((k = 0; k < IN[mounts.$i.paths.#]; k++)); do
      p=${IN[mounts.$i.paths.$k]}
      printf '%s\0' ".${p:+/$p}"
    done >"$DIR/m$i/paths"
  done
  printf '%s' "${IN[conflictPolicy]}" >"$DIR/policy"
  printf '%s' "$INPUT_B64" >"$DIR/input"
fi
printf '%s' "$TOOL" >"$DIR/tool"

# What to do with each selected entry: n new, t take, f take although the times tell nothing, = already the same,
# k kept live by the policy.
plan_mount() {
  local name type mode uid gid size mtime ctime ino links blocks target here d parent root at rest i same
  local -A block=() nest=()
  for root in "${ROOTS[@]}"; do
    link_on_way "$TO" "${root#./}"
    [[ ! $REPLY ]] || stop PathThroughSymlink "${TO%/}${root#.} goes through a symbolic link: $REPLY"
    link_on_way "$FROM" "${root#./}"
    [[ ! $REPLY ]] || stop PathThroughSymlink "${TO%/}${root#.} goes through a symbolic link on the recovery disk"
    at=. rest=${root#./}
    while [[ $rest == */* ]]; do
      at+=/${rest%%/*} rest=${rest#*/}
      if [[ ! -e ${TO%/}/$at ]]; then
        enc "$at" && echo "$REPLY"
      elif [[ ! -d ${TO%/}/$at ]]; then
        stop ParentNotDirectory "${TO%/}${at#.} is not a directory, and ${root##*/} is to be brought back below it"
      fi
    done
  done >"$M/parents"
  read_mounts
  for i in "${!M_AT[@]}"; do
    if [[ ${M_AT[i]} == "${TO%/}/"?* && ${M_AT[i]} != "$TO" ]]; then
      enc ".${M_AT[i]#"${TO%/}"}"
      nest[$REPLY]=1
    fi
  done
  exec 4>"$M/files" 5>"$M/new" 6>"$M/meta" 7>"$M/kept" 8>"$M/links" 3<"$M/live"
  local ln lt lm lu lg ls lmt lct li lk lb lx key
  IFS=$TAB read -r ln lt lm lu lg ls lmt lct li lk lb lx <&3 || ln=
  while IFS=$TAB read -r name type mode uid gid size mtime ctime ino links blocks target; do
    here= d= same= key=- parent=${name%/*}
    if [[ $ln == "$name" ]]; then
      here=$lt
      [[ $type$lt != [bc][bc] ]] || { dec "$name"; target=$(rdev "$FROM" "$REPLY") lx=$(rdev "$TO" "$REPLY"); }
      [[ $type != d && $lt != d ]] || size=0 ls=0
      [[ "$type $mode $uid $gid $size $mtime $target" == "$lt $lm $lu $lg $ls $lmt $lx" ]] && same=1
      key=$lmt,$lct,$li,$ls
      local at_mtime=$lmt at_ctime=$lct at_blocks=$lb at_links=$lk
      IFS=$TAB read -r ln lt lm lu lg ls lmt lct li lk lb lx <&3 || ln=
    fi
    case ${block[$parent]-} in
      k) d=k ;;
      a) here= ;;
      m) dec "$name" && stop NestedMount "${TO%/}${REPLY#.} lies below another mount: select paths without it" ;;
    esac
    if [[ ${nest[$name]-} ]]; then
      d=k block[$name]=m
    elif [[ $d ]]; then
      :
    elif [[ ! $here ]]; then
      d=n
    elif [[ $POLICY == keep-live ]]; then
      d=k
    elif [[ $same && $at_ctime == "$ctime" ]]; then
      d='='
    elif [[ $POLICY == take-b ]] || newer "$mtime" "$at_mtime"; then
      d=t
    elif [[ $mtime == "$at_mtime" ]] && newer "$ctime" "$at_ctime"; then
      d=f
    else
      d=k
    fi
    if [[ $type == d ]]; then
      case $d in
        n) echo "$name" >&5 ;;
        [tf]) [[ $here == d ]] || { echo "$name" >&5 && block[$name]=a; } ;;
        k) [[ $here == d || ${block[$name]-} ]] || block[$name]=k ;;
      esac
      [[ ${block[$parent]-} != a ]] || block[$name]=a
      [[ $d == k ]] && echo "$name$TAB$d" >&7 || echo "$name" >&6
      continue
    fi
    # A live directory in the way of a file stays: nothing is ever deleted. The verification reports it.
    [[ $d == [tf] && $here == d ]] && continue
    i=$blocks
    [[ $here == f && $at_links == 1 ]] && i=$((blocks > at_blocks ? blocks - at_blocks : 0))
    set -- "$ino" "$d" "$size" "$blocks" "$i" "$type $mode $uid $gid $size $mtime" "$links" "$key" "$name"
    if ((links > 1)); then
      local IFS=$TAB
      echo "$*$TAB${same:--}" >&8
      unset IFS
    else
      emit "$@"
    fi
  done <"$M/b"
  exec 8>&-
  plan_links
  exec 3<&- 4>&- 5>&- 6>&- 7>&-
  [[ ! -s $M/files ]] || sort -n -o "$M/files" "$M/files"
  sort -u -o "$M/new" "$M/new" "$M/parents"
  sort -u -o "$M/meta" "$M/meta" "$M/parents"
}
emit() {
  local IFS=$TAB
  case $2 in
    [ntf])
      FILES=$((FILES + 1)) BYTES=$((BYTES + $3)) NEED=$((NEED + $5 * 512))
      (($4 * 512 > BIGGEST)) && BIGGEST=$(($4 * 512))
      [[ $2 == n ]] && NODES=$((NODES + 1))
      echo "$*" >&4
      ;;
    k) echo "$9${TAB}k" >&7 ;;
  esac
}
# Hard links: when one name of a file is brought back, so are the others, lest the live names fall apart.
plan_links() {
  local row last= group=() taken= inode=
  while IFS= read -r row; do
    if [[ ${row%%"$TAB"*} != "$last" ]]; then
      plan_group
      last=${row%%"$TAB"*} group=() taken= inode=
    fi
    group+=("$row")
  done < <([[ ! -s $M/links ]] || sort -n "$M/links")
  plan_group
}
plan_group() {
  local row f together=1
  for row in ${group[@]+"${group[@]}"}; do
    IFS=$TAB read -ra f <<<"$row"
    [[ ${f[1]} == [ntf] ]] && taken=1
    row=${f[7]#*,*,}
    row=${row%%,*}
    [[ ${f[1]} != '=' || ! $inode || $inode == "$row" ]] || together=
    [[ ${f[1]} != '=' ]] || inode=$row
  done
  for row in ${group[@]+"${group[@]}"}; do
    IFS=$TAB read -ra f <<<"$row"
    if [[ ($taken || ! $together) && ${f[9]} == 1 && $POLICY != keep-live && ${f[1]} == [=k] ]]; then f[1]=f; fi
    emit "${f[@]:0:9}"
  done
}
check_space() {
  local free unit nodes all
  read -r free unit nodes all < <(stat -f -c '%a %S %d %c' -- "$TO")
  free=$((free * unit))
  # Live files are replaced batch by batch: besides the growth only one batch is there twice.
  local batch=$((BIGGEST + 67108864))
  ((batch < BYTES)) || batch=$((BIGGEST > BYTES ? BIGGEST : BYTES))
  NEED=$((NEED + batch))
  ((FILES == 0 || NEED <= free)) ||
    stop NoSpace "$TO has $free bytes free, and up to $NEED are needed to bring back $FILES files of $BYTES bytes"
  ((all == 0 || NODES == 0 || NODES + 600 <= nodes)) ||
    stop NoSpace "$TO has $nodes inodes free, and $((NODES + 600)) are needed to bring back $NODES missing files"
}

# Brings the entries named in list $3 (NUL) from $1 to below $2, with everything they are; directories without content.
transfer() {
  if [[ $TOOL == rsync ]]; then
    rsync -aHAXSx --modify-window=-1 --numeric-ids --relative --no-implied-dirs --from0 --files-from="$3" "$1/" "$2/" 2>"$DIR/errors"
  else
    local more=()
    TAR_HELP=${TAR_HELP-$(tar --help)}
    [[ $TAR_HELP == *--xattrs* ]] && more+=(--xattrs '--xattrs-include=*')
    [[ $TAR_HELP == *--acls* ]] && more+=(--acls)
    [[ $TAR_HELP == *--selinux* && -d /sys/fs/selinux ]] && more+=(--selinux)
    (
      set -o pipefail
      tar -C "$1" --null --no-unquote --no-recursion --format=posix --sparse --numeric-owner ${more[@]+"${more[@]}"} \
        -T "$3" -cf - | tar -C "$2" --numeric-owner --same-owner -p --delay-directory-restore ${more[@]+"${more[@]}"} -xf -
    ) 2>"$DIR/errors"
  fi
}
must() {
  local first
  "$@" && return
  first=$(head -n 1 "$DIR/errors" | tr -d '\0' | cut -c 1-300)
  die "$TOOL could not bring back all entries: $first"
}
# The directories of list $1, from the top down. A live parent that has become a link since is not followed.
transfer_dirs() {
  local name
  while IFS= read -r name; do
    dec "$name"
    name=${REPLY#./}
    link_on_way "$TO" "$name"
    [[ ! $REPLY ]] || die "$REPLY has become a symbolic link while the copy ran"
    [[ $2 == make || (-d ${TO%/}/$name && ! -L ${TO%/}/$name) ]] && printf './%s\0' "${name#.}"
  done <"$1" >"$DIR/list"
  [[ ! -s $DIR/list ]] || must transfer "$FROM" "$TO" "$DIR/list"
}

copy_mount() {
  local f alloc=0 last= index=${M##*/m} k
  DONE=0
  # The last batch that was finished, of this mount.
  while read -r i d c b; do [[ $i != "$index" ]] || DONE=$d; done <"$DIR/journal"
  SHELF=${TO%/}/$STAGE
  printf '%s\0' "$SHELF" >"$DIR/shelf"
  touch -r "$TO" "$DIR/root-time"
  mkdir -p "$SHELF" && [[ ! -L $SHELF ]] || die "cannot make $SHELF"
  chmod 00700 "$SHELF"
  setfacl -bk "$SHELF"
  touch -r "$DIR/root-time" "$TO"
  transfer_dirs "$M/new" make
  BATCH=()
  while IFS= read -r f; do
    IFS=$TAB read -r ino _ _ k _ <<<"$f"
    if [[ $ino != "$last" ]] && ((${#BATCH[@]} >= 400 || alloc >= 131072)); then
      copy_batch "$index"
      BATCH=() alloc=0
    fi
    BATCH+=("$f") last=$ino alloc=$((alloc + k))
  done < <(tail -n +$((DONE + 1)) "$M/files")
  ((${#BATCH[@]} == 0)) || copy_batch "$index"
  transfer_dirs "$M/meta" set
  remove_stage "$TO"
}
copy_batch() {
  local f ino d size blocks growth meta links key name now flag dir batch_bytes=0 at last= names=()
  local -A live=() live_meta=()
  for f in "${BATCH[@]}"; do printf '%s\n' "${f##*"$TAB"}"; done | decode >"$DIR/list"
  rm -rf --one-file-system "$SHELF/b"
  mkdir "$SHELF/b" || die "cannot make $SHELF/b"
  must transfer "$FROM" "$SHELF/b" "$DIR/list"
  # On disk before it gets its name: a power cut must not leave an empty file there.
  sync -f "$SHELF" || sync
  cd -P -- "$TO" || die "$TO is gone"
  look <"$DIR/list" | rows >"$DIR/now"
  local ln lt lm lu lg ls lmt lct li lk lb lx
  while IFS=$TAB read -r ln lt lm lu lg ls lmt lct li lk lb lx; do
    live[$ln]=$lmt,$lct,$li,$ls
    live_meta[$ln]="$lt $lm $lu $lg $ls $lmt"
  done <"$DIR/now"
  for f in "${BATCH[@]}"; do
    IFS=$TAB read -r ino d size blocks growth meta links key name <<<"$f"
    now=${live[$name]-}
    batch_bytes=$((batch_bytes + size))
    flag=f
    if [[ $meta == s\ * && $TOOL == tar ]]; then
      # Only rsync can make a socket; without its process it is of no use.
      echo "$name${TAB}k" >>"$M/kept"
      continue
    elif [[ ! $now ]]; then
      [[ $POLICY == take-b ]] || flag=n
    elif [[ ${live_meta[$name]} == d\ * ]]; then
      continue
    elif [[ $now == "$key" ]]; then
      [[ $d == f || $POLICY != newer-wins || $links != 1 ]] || flag=u
    elif [[ ${live_meta[$name]} == "$meta" ]]; then
      # Placed before an interruption.
      if ((links == 1)); then
        COPIED=$((COPIED + 1)) COPIED_BYTES=$((COPIED_BYTES + size))
        continue
      fi
    elif [[ $POLICY == keep-live ]] || { [[ $POLICY == newer-wins ]] && ! newer "${meta##* }" "${now%%,*}"; }; then
      # Changed since the plan.
      echo "$name${TAB}k" >>"$M/kept"
      continue
    fi
    COPIED=$((COPIED + 1)) COPIED_BYTES=$((COPIED_BYTES + size))
    echo "$flag$TAB${name%/*}$TAB${name##*/}$TAB$size"
  done >"$DIR/place"
  sort -o "$DIR/place" "$DIR/place"
  while IFS=$TAB read -r flag dir name size; do
    if [[ $flag/$dir != "$last" ]] || ((${#names[@]} >= 200)); then
      place_names "$last"
      last=$flag/$dir names=()
    fi
    dec "$name"
    names+=("$REPLY")
  done <"$DIR/place"
  place_names "$last"
  # What has not moved: a live file came to be, or was written, at the last moment. The policy keeps it.
  while IFS=$TAB read -r flag dir name size; do
    dec "$dir/$name"
    [[ -e $SHELF/b/$REPLY || -L $SHELF/b/$REPLY ]] || continue
    [[ $flag != f && (-e ${TO%/}/$REPLY || -L ${TO%/}/$REPLY) ]] ||
      die "${TO%/}${REPLY#.} could not be put in its place: $(head -n 1 "$DIR/errors" | cut -c 1-300)"
    COPIED=$((COPIED - 1)) COPIED_BYTES=$((COPIED_BYTES - size))
    echo "$dir/$name${TAB}k" >>"$M/kept"
  done <"$DIR/place"
  rm -rf --one-file-system "$SHELF/b"
  DONE=$((DONE + ${#BATCH[@]})) FILES_DONE=$((FILES_DONE + ${#BATCH[@]})) BYTES_DONE=$((BYTES_DONE + batch_bytes))
  echo "$1 $DONE $COPIED $COPIED_BYTES $FILES_DONE $BYTES_DONE" >>"$DIR/journal"
  progress copying "$FILES_DONE" "$FILES" "$BYTES_DONE" "$BYTES"
}
# Renames the staged files `names` into one live directory. From within it, so that no link can lead elsewhere meanwhile.
place_names() {
  local dir=${1#*/} n list=()
  ((${#names[@]})) || return
  dec "$dir"
  dir=${REPLY#.}
  for n in "${names[@]}"; do list+=("$SHELF/b$dir/$n"); done
  cd -P -- "${TO%/}$dir/" || die "${TO%/}$dir is gone"
  n=${TO%/}$dir
  [[ $PWD == "${n:-/}" ]] || die "${TO%/}$dir has become a symbolic link while the copy ran"
  mv "-${1%%/*}" -t . -- "${list[@]}" 2>"$DIR/errors"
}

copy_job() {
  local m i d c b
  POLICY=$(<"$DIR/policy")
  if [[ ! -e $DIR/planned ]]; then
    progress scanning 0 0 0 0
    FILES=0 BYTES=0
    rm -f "$DIR/journal"
    for ((m = 0; m < COUNT; m++)); do
      NEED=0 BIGGEST=0 NODES=0
      open_mount "$DIR/m$m"
      scan
      plan_mount
      rm -f "$M/b" "$M/live" "$M/links"
      check_space
    done
    : >>"$DIR/journal"
    echo "$FILES $BYTES" >"$DIR/planned.new"
    mv "$DIR/planned.new" "$DIR/planned"
  fi
  read -r FILES BYTES <"$DIR/planned"
  COPIED=0 COPIED_BYTES=0 FILES_DONE=0 BYTES_DONE=0
  read -r i d COPIED COPIED_BYTES FILES_DONE BYTES_DONE < <(tail -n 1 "$DIR/journal") ||
    COPIED=0 COPIED_BYTES=0 FILES_DONE=0 BYTES_DONE=0
  progress copying "$FILES_DONE" "$FILES" "$BYTES_DONE" "$BYTES"
  for ((m = 0; m < COUNT; m++)); do
    open_mount "$DIR/m$m"
    copy_mount
  done
  sync
  echo "$COPIED $COPIED_BYTES" >"$DIR/copied"
  : >"$DIR/ended"
  progress "done" "$FILES" "$FILES" "$BYTES" "$BYTES"
  job_end "done" '' ''
}
start_job copy copy_job
# A refusal of the plan is answered here when it comes soon; else copy-status has it.
for ((i = 0; i < 30; i++)); do
  if [[ -e $DIR/result ]]; then
    { read -r state; read -r code; IFS= read -r text; } <"$DIR/result"
    [[ $state != refused ]] || refuse "$code" "$text"
    break
  fi
  [[ -e $DIR/planned ]] && break
  sleep 0.4
done
reply false
