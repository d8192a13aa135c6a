# Inode flags that keep even root from changing a file or a folder (`chattr +i`, `+a`).

# Lines "name, flags" for those of the names on standard input (encoded) that have one of them, below the current folder.
flagged() {
  local name flags odd=$DIR/odd$BASHPID
  hash lsattr || { cat && return; } >/dev/null
  : >"$odd"
  awk "-vodd=$odd" '/\\/ { print >odd; next } 1' | xargs -r -d '\n' lsattr -d -- | awk -v 'OFS=\t' '
    { flags = ($1 ~ /i/ ? "i" : "") ($1 ~ /a/ ? "a" : ""); if (flags != "") print substr($0, index($0, " ") + 1), flags }'
  [[ -s $odd ]] || return 0
  # A newline in a name would be taken for the end of a line of `lsattr`.
  while IFS= read -r name; do
    dec "$name"
    read -r flags _ < <(lsattr -d -- "$REPLY")
    flags=${flags//[^ia]/}
    [[ ! $flags ]] || echo "$name$TAB$flags"
  done <"$odd"
  rm -f "$odd"
}
# Sets ($1 is +) or clears (-) the flags in list $2 ("name, flags") below folder $3.
change_flags() {
  local name flags
  while IFS=$TAB read -r name flags; do
    dec "$name"
    cd -P -- "$3/${REPLY%/*}" && [[ -e ./${REPLY##*/} && ! -L ./${REPLY##*/} ]] || continue
    chattr "$1$flags" -- "./${REPLY##*/}" || die "the flags $1$flags of ${3%/}${REPLY#.} could not be changed"
  done <"$2"
}
# Gives back what `take-b` has cleared: to a folder where it is, to a file where it is kept aside.
relock() {
  local name flags where
  while IFS=$TAB read -r name flags; do
    dec "$name"
    where=$TO
    [[ -d $TO/$REPLY || ! -e $TO/$STAGE.aside/$REPLY ]] || where=$TO/$STAGE.aside
    change_flags + <(echo "$name$TAB$flags") "$where"
  done <"$M/locked"
}
