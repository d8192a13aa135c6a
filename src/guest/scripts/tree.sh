# Trees as sorted lists: one line for each entry, 12 fields parted by tabs, names with \s \n \t for backslash, newline and
# tab, so that every name is one word of one line. Whatever bytes a name has, it is never read as an option, a pattern or a
# path of its own. Lists are merged by awk, line by line: no list is ever held in memory.
ROW='%p\t%y\t%m\t%U\t%G\t%s\t%T@\t%C@\t%i\t%n\t%b\t%l\n'
ODD=${ROW//\\[tn]/\\0}
ODD_NAME=$'*[\\\\\t\n]*'

encode() { sed -z 's/\\/\\s/g;s/\t/\\t/g;s/\n/\\n/g' | tr '\0' '\n'; }
decode() { tr '\n' '\0' | sed -z 's/\\n/\n/g;s/\\t/\t/g;s/\\s/\\/g'; }
sorted() { sort -S 48M -T "$DIR" "$@"; }
# Sorts list $1 in its place, with further options of `sort` behind. An empty one needs no process: in most runs most are.
sort_list() { [[ ! -s $1 ]] || sorted "${@:2}" -o "$1" "$1"; }
# Rows into $1: what `find "${@:2}"` finds here. Only names that need it pay for being encoded.
rows() {
  local out=$1
  shift
  find "$@" \( ! -path "$ODD_NAME" ! -lname "$ODD_NAME" -printf "$ROW" -o -fprintf "$out.odd" "$ODD" \) \
    \( -type b -o -type c \) -fprintf "$out.nodes" '%p\0' >"$out.raw" || return
  [[ ! -s $out.odd ]] || encode <"$out.odd" | paste - - - - - - - - - - - - >>"$out.raw"
  sorted -u -o "$out" "$out.raw" || return
  # The device number in place of a link's target, for device nodes.
  if [[ -s $out.nodes ]]; then
    encode <"$out.nodes" >"$out.odd"
    xargs -0 stat -c %t:%T -- <"$out.nodes" | paste "$out.odd" - |
      awk -F'\t' -v OFS='\t' 'NR == FNR { d[$1] = $2; next } $1 in d { $12 = d[$1] } 1' - "$out" >"$out.raw"
    mv "$out.raw" "$out"
  fi
  : >"$out.odd" >"$out.raw"
}
# Rows into $1: those of the names on standard input (NUL, relative to the current folder) that exist here.
look() {
  local out=$1
  xargs -0 -r bash -c 'f=$1; shift; exec find "$@" -maxdepth 0 -printf "$f"' look "$ODD" | encode |
    paste - - - - - - - - - - - - | sorted -u >"$out"
}

open_mount() {
  M=$1
  IFS= read -r -d '' FROM <"$M/from"
  IFS= read -r -d '' TO <"$M/to"
  ROOTS=()
  local p
  while IFS= read -r -d '' p; do ROOTS+=("$p"); done <"$M/paths"
}
# FOUND = the tests of find for any of the patterns in file $1, in parentheses; nothing when there are none.
# The matching is find's own (fnmatch): * takes slashes, too. "/x" is anchored at each selected path, "x/y" at any folder.
patterns() {
  local pattern root
  FOUND=()
  while IFS= read -r -d '' pattern; do
    if [[ $pattern != */* ]]; then
      FOUND+=(-o -name "$pattern")
      continue
    fi
    for root in "${ROOTS[@]}"; do
      root=${root//\\/\\\\}
      root=${root//\*/\\*}
      root=${root//\?/\\?}
      root=${root//\[/\\[}
      FOUND+=(-o -path "$root/${pattern#/}")
      [[ $pattern == /* ]] || FOUND+=(-o -path "$root/*/$pattern")
    done
  done <"$1"
  ((${#FOUND[@]} == 0)) || FOUND=(\( "${FOUND[@]:1}" \))
}
# Rows into $1 of all that is selected below the roots that follow.
selected() {
  local out=$1 leave_out
  shift
  patterns "$DIR/exclude"
  leave_out=(-path './.ecs-rollback-*' -prune -o ${FOUND[@]+"${FOUND[@]}" -prune -o})
  patterns "$DIR/include"
  if ((${#FOUND[@]} == 0)); then
    rows "$out" "$@" -xdev "${leave_out[@]}"
    return
  fi
  rows "$out" "$@" -xdev "${leave_out[@]}" \( -type d -o "${FOUND[@]}" \) || return
  # Of the directories, those that lead to something.
  awk -F'\t' 'NR == FNR { if ($2 != "d") while (sub(/\/[^\/]*$/, "", $1) && !($1 in way)) way[$1]; next } $2 != "d" || $1 in way' \
    "$out" "$out" >"$out.raw" && mv "$out.raw" "$out"
}
# Of the rows in $1 those that the list of the run names: what is listed, or below it, and the folders on the way. All of the
# list is held in memory, none of the rows.
listed() {
  [[ -e $M/only ]] || return 0
  awk -F'\t' '
    NR == FNR { only[$1]; name = $1; while (sub(/\/[^\/]*$/, "", name) && !(name in way)) way[name]; next }
    { name = $1; keep = name in only || $2 == "d" && name in way; while (!keep && sub(/\/[^\/]*$/, "", name)) keep = name in only }
    keep' "$M/only" "$1" >"$1.raw" && mv "$1.raw" "$1"
}
# Everything selected on the recovery disk into $M/b, and what is live in the same places into $M/live, at the same time.
scan() {
  local root here=() pid
  cd -P -- "$FROM" || die "$FROM is not there"
  {
    selected "$M/b" "${ROOTS[@]}" || die "the recovery disk could not be read to the end below $FROM"
    listed "$M/b" || die 'the list could not be compared'
  } &
  pid=$!
  cd -P -- "$TO" || die "$TO is not there"
  for root in "${ROOTS[@]}"; do [[ ! -e $root && ! -L $root ]] || here+=("$root"); done
  : >"$M/live"
  ((${#here[@]} == 0)) || selected "$M/live" "${here[@]}"
  listed "$M/live" || die 'the list could not be compared'
  join_workers "$pid"
}

# awk: times as find prints them, and several lists read side by side with the main one, all sorted by name.
AWK_LISTS='
function newer(a, b,  x, y) {
  if (length(a) == length(b) && a !~ /^-/ && b !~ /^-/) return a "" > b ""
  x = a; y = b; sub(/[.].*/, "", x); sub(/[.].*/, "", y)
  if (x + 0 != y + 0) return x + 0 > y + 0
  sub(/^[^.]*[.]/, "", a); sub(/^[^.]*[.]/, "", b)
  return a "" > b ""
}
function open(list, file) { F[list] = file; advance(list) }
function advance(list,  tab) {
  if ((getline L[list] < F[list]) <= 0) { N[list] = ""; return }
  tab = index(L[list] "\t", "\t"); N[list] = substr(L[list] "\t", 1, tab); L[list] = substr(L[list], tab + 1)
}
function at(list, name) {
  name = name "\t"
  while (N[list] != "" && N[list] < name) advance(list)
  if (N[list] != name) return 0
  V[list] = L[list]; advance(list)
  return 1
}
BEGIN { FS = OFS = "\t"; CONVFMT = OFMT = "%.0f" }
'

# Lines "name, SHA-256" for the regular files named on standard input (NUL), below the current folder.
hashes() {
  xargs -0 -r sha256sum -- | awk '{
    odd = substr($0, 1, 1) == "\\"; if (odd) $0 = substr($0, 2)
    name = substr($0, 67)
    if (odd) { gsub(/\\\\/, "\\s", name); gsub(/\\r/, "\r", name) }
    if (index(name, "\t")) gsub(/\t/, "\\t", name)
    print name "\t" substr($0, 1, 64)
  }'
}
LARGE=67108864
# More than there are processors: with small files most of the time is waiting for the disk. With a rate that somebody has
# chosen, one is enough.
WORKERS='1 2 3 4 5 6 7 8'
KEEP='ROW ODD ODD_NAME LARGE WORKERS RATE'
# REPLY = lines of a piece of the work in list $1: few enough that each worker has some, and many enough to be worth its start.
lines_of_piece() {
  REPLY=$(($(wc -l <"$1") / 8))
  ((REPLY > 500)) || REPLY=500
  ((REPLY < 2000)) || REPLY=2000
}
RATE=0
# REPLY = SHA-256 of the large file $2 below $1 with $3 bytes in $4 blocks. openssl is several times faster. Of a file that is
# mostly holes, its archive is hashed, which has no holes: terabytes of nothing are not read.
hash_large() {
  if (($4 * 2048 < $3)); then
    read -r REPLY _ < <(printf '%s\0' "$2" | tar -C "$1" --format=gnu --sparse --null --no-unquote --numeric-owner -T - -cf - | at_rate | sha256sum)
    REPLY=sparse:$REPLY
    return
  fi
  command -v openssl && read -r REPLY _ < <(if ((RATE)); then limited <"$1/$2" | openssl dgst -sha256 -r; else openssl dgst -sha256 -r <"$1/$2"; fi) && ((${#REPLY} == 64)) && return
  read -r REPLY _ < <(at_rate <"$1/$2" | sha256sum)
}
