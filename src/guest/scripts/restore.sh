# Puts back what the run keeps aside, all of it or what is at or below `path`: each file by a rename, so that there is no moment
# without one. What that replaces goes aside, too, to a folder of its own. What is aside stays there: a second time changes nothing.
need dryRun
DRY=${IN[dryRun]} UNDER=${IN[path]-}
UNDER=${UNDER%/}
[[ $DRY == true ]] || lock
roots
((${#ROOTS[@]})) || refuse NothingKept "the guest keeps nothing aside of the run $RUN: nothing was replaced or deleted, or it was removed since"
files=0 bytes=0 same=0 dirs=0 problems=0 matched=0 shown= told=
problem() {
  problems=$((problems + 1))
  ((${#told} < 5000)) || return
  js "$1: $2"
  told+=${told:+,}$REPLY
}
# The entry $2 of folder $1, counted already.
stays() {
  files=$((files - 1)) bytes=$((bytes - $(stat -c %s -- "$ASIDE$1/$2")))
  problem "${ROOT%/}$1/$2" "$3"
}
# Whether the live entry is the very one that is aside.
is_back() { [[ -L $1 || -L $2 ]] && REPLY=$(stat -c %d:%i -- "$1") && [[ $REPLY == "$(stat -c %d:%i -- "$2")" ]] || [[ ! -L $1 && $1 -ef $2 ]]; }
# Into the live folder $1, so that no link can lead elsewhere meanwhile.
into() {
  cd -P -- "${ROOT%/}$1/" && [[ $PWD == "${ROOT%/}$1" || ! ${ROOT%/}$1 ]]
}
# A file that its inode flags keep from being linked; it has them again afterwards. Here is folder $1.
put_back_flagged() {
  local kept=$ASIDE$1/$2 flags set=
  [[ -f $kept && ! -L $kept ]] && flags=$(lsattr -d -- "$kept") && flags=${flags%% *} || return
  [[ $flags != *i* ]] || set+=i
  [[ $flags != *a* ]] || set+=a
  [[ $set ]] && chattr "-$set" -- "$kept" || return
  ln -P -T -- "$kept" "$SHELF/$2" && mv -f -T -- "$SHELF/$2" "./$2"
  chattr "+$set" -- "$kept"
  is_back "$kept" "./$2"
}
# The entries `todo` of folder $1.
put_back() {
  local name there=() staged=()
  ((${#todo[@]})) || return 0
  if ! into "$1"; then
    for name in "${todo[@]}"; do stays "$1" "$name" 'its folder is not there, or a symbolic link'; done
    todo=()
    return
  fi
  for name in "${todo[@]}"; do
    staged+=("$SHELF/$name")
    [[ ! -e ./$name && ! -L ./$name ]] || there+=("$name")
  done
  if ((${#there[@]})); then
    mkdir -p -- "$AGAIN$1" && ln -P -t "$AGAIN$1" -- "${there[@]}"
  fi
  ln -P -t "$SHELF" -- "${todo[@]/#/"$ASIDE$1/"}" && mv -f -t . -- "${staged[@]}"
  for name in "${todo[@]}"; do
    is_back "$ASIDE$1/$name" "./$name" || put_back_flagged "$1" "$name" || stays "$1" "$name" 'it could not be put back'
  done
  rm -rf --one-file-system "$SHELF" && mkdir "$SHELF"
  todo=()
}
for ROOT in "${ROOTS[@]}"; do
  ASIDE=${ROOT%/}/$STAGE.aside AGAIN=${ROOT%/}/$STAGE.restored.aside SHELF=${ROOT%/}/$STAGE
  sub=
  if [[ $UNDER && $UNDER != "${ROOT%/}" ]]; then
    [[ $UNDER == "${ROOT%/}/"* ]] || continue
    sub=${UNDER#"${ROOT%/}"}
    link_on_way "$ASIDE" "${sub#/}"
    [[ ! $REPLY && (-e $ASIDE$sub || -L $ASIDE$sub) ]] || continue
  fi
  cd -P -- "$ASIDE" || fail GuestError "$ASIDE cannot be read"
  matched=1
  if [[ $DRY != true ]]; then
    touch -r "$ROOT" "$RUN_DIR/root-time"
    rm -rf --one-file-system "$SHELF" && mkdir "$SHELF" || fail GuestError "cannot make $SHELF"
  fi
  todo=() last=
  # Folders before what is in them.
  while IFS= read -r -d '' type && IFS= read -r -d '' path && IFS= read -r -d '' size; do
    path=${path#.}
    live=${ROOT%/}$path
    if [[ $type == d ]]; then
      [[ $path && ! -e $live && ! -L $live ]] || continue
      dirs=$((dirs + 1))
      [[ $DRY != true ]] || continue
      put_back "$last"
      up=${path%/*}
      into "$up" && mkdir -- "./${path##*/}" && chown --reference="$ASIDE$path" -- "./${path##*/}" && chmod --reference="$ASIDE$path" -- "./${path##*/}" &&
        getfacl -- "$ASIDE$path" | setfacl --set-file=- -- "./${path##*/}"
      continue
    fi
    if is_back "$ASIDE$path" "$live"; then
      same=$((same + 1))
      continue
    fi
    if [[ -d $live && ! -L $live ]]; then
      problem "$live" 'a live directory is in its place'
      continue
    fi
    files=$((files + 1)) bytes=$((bytes + size))
    if ((${#shown} < 6000)); then
      js "$live"
      shown+=${shown:+,}$REPLY
    fi
    [[ $DRY != true ]] || continue
    if [[ ${path%/*} != "$last" ]] || ((${#todo[@]} >= 500)); then put_back "$last"; fi
    last=${path%/*}
    todo+=("${path##*/}")
  done < <(find ".$sub" -type d -printf '%y\0%p\0%s\0' && find ".$sub" ! -type d -printf '%y\0%p\0%s\0')
  [[ $DRY == true ]] && continue
  put_back "$last"
  rm -rf --one-file-system "$SHELF"
  [[ ! -d $AGAIN ]] || chmod 0700 "$AGAIN"
  touch -r "$RUN_DIR/root-time" "$ROOT"
  sync -f "$ROOT" || sync
  rm -f "$RUN_DIR/root-time"
done
[[ $DRY == true ]] || close_lock
((matched)) || refuse PathNotKept "nothing at or below $UNDER is kept aside of the run $RUN"
answer "{\"files\":$files,\"bytes\":$bytes,\"directories\":$dirs,\"already\":$same,\"paths\":[$shown],\"problems\":[$told],\"problemCount\":$problems}"
