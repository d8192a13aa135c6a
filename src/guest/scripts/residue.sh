# What is on the recovery disk and, after the copy, not live: on the whole of each file system that could be mounted, outside
# of the selection as well. Two sorted streams are read side by side: no list of them is ever held anywhere.

# Longer than that nobody is kept waiting for it.
RESIDUE_SECONDS=300
# So many lines of it go into the report; beyond that they are counted only.
RESIDUE_LINES=1000000
KEEP+=' KEPT_DIR RESIDUE_SECONDS RESIDUE_LINES'

# Lines "name, type, size, time, link target" of what is below folder $1 and no directory, sorted. $2 is made when not all of
# it could be read in time, and says why.
census() {
  cd -P -- "$1" && {
    timeout "$REST" find . -xdev -path './.ecs-rollback-*' -prune -o ! -type d \( ! -path "$ODD_NAME" ! -lname "$ODD_NAME" \
      -printf '%p\t%y\t%s\t%T@\t%l\n' -o -fprintf "$2.odd" '%p\0%y\0%s\0%T@\0%l\0' \)
    (($? != 124)) || echo "comparing took longer than $RESIDUE_SECONDS s" >"$2"
    [[ ! -s $2.odd ]] || encode <"$2.odd" | paste - - - - -
  } | sort -S 32M -T "$KEPT_DIR" --compress-program=gzip || echo 'what is there could not be listed and sorted' >"$2"
}
# By type, size, time and link target; contents are not read. Lines "bytes, entries, folder" for each folder at the top, "rows"
# for the report. What the comparison has told of already is counted, not told again.
AWK_RESIDUE='
BEGIN { open("live", live); open("sel", sel); open("kept", kept); prefix = ENVIRON["PREFIX"] }
{
  there = at("live", $1); inside = at("sel", $1); verdict = at("kept", $1) ? V["kept"] : ""
  if (there && V["live"] == substr($0, length($1) + 2) || verdict == "beside" || inside && side) next
  top = substr($1, 3)
  top = index(top, "/") ? substr(top, 1, index(top, "/") - 1) : ""
  if (!(top in n)) { if (tops < 1000) tops++; else top = "\n" }
  n[top]++; size[top] += $3
  if ((!inside || verdict == "changed-since-plan") && lines++ < most)
    print verdict == "" ? (there ? "differs" : "only-in-B") : verdict, "left", $3, prefix substr($1, 2) >rows
}
END {
  # Its writer must not be cut off.
  while (N["live"] != "") advance("live")
  for (top in n) print size[top], n[top], top == "\n" ? "-" : top == "" ? (prefix == "" ? "/" : prefix) : prefix "/" top
}
'
# What `mount` has mounted and the copy is not about, into $DIR/o*: as if nothing on it were selected.
beside_the_copy() {
  local from home f n=0
  local -A copied=()
  for M in "$DIR"/m*; do IFS= read -r -d '' from <"$M/from" && copied[$from]=1; done
  while IFS= read -r -d '' from && IFS= read -r -d '' home; do
    [[ ! ${copied[$from]-} ]] || continue
    M=$DIR/o$((n++))
    mkdir "$M"
    printf '%s\0' "$from" >"$M/from"
    printf '%s\0' "$home" >"$M/home"
    cp -- "$M/home" "$M/to"
    for f in paths b kept; do : >"$M/$f"; done
  done <"$RUN_DIR/mounted"
}
# From all that `open_mount` knows and the selection in $M/b: the totals into "$DIR/tops", rows for the report into $M/left.
# What is in neither is named in "$DIR/not-compared", and has its rows in "$DIR/unseen".
residue() {
  local home line until=$((SECONDS + RESIDUE_SECONDS))
  mkdir -p "$KEPT_DIR"
  cp -- "$RUN_DIR/not-compared" "$DIR"
  for M in "$DIR"/[mo]*/; do
    open_mount "${M%/}"
    IFS= read -r -d '' home <"$M/home"
    enc "${home%/}"
    export PREFIX=$REPLY
    : >"$M/left"
    # 0 would be no limit.
    REST=$((until > SECONDS ? until - SECONDS : 1))
    census "$FROM" "$M/cut-b" | awk "-vlive="<(census "$home" "$M/cut-live") "-vsel=$M/b" "-vkept=$M/kept" "-vrows=$M/left" \
      "-vmost=$RESIDUE_LINES" "-vside=$([[ ${home%/} == "${TO%/}" ]] || echo 1)" "$AWK_LISTS $AWK_RESIDUE" >"$M/tops"
    if [[ -s $M/cut-b || -s $M/cut-live ]]; then
      # Half a list tells lies.
      : >"$M/left"
      echo "${PREFIX:-/}: $(cat "$M/cut-b" "$M/cut-live" | head -n 1)" >>"$DIR/not-compared"
    else
      cat "$M/tops"
    fi
  done | sort -t "$TAB" -k1,1nr -k2,2nr >"$DIR/tops"
  while IFS= read -r line; do echo "not-compared${TAB}left${TAB}0$TAB$line"; done >"$DIR/unseen" <"$DIR/not-compared"
}
# REPLY = the totals as JSON, the largest 20 folders named.
residue_json() {
  local bytes entries folder all=0 size=0 shown= named=0 line not= more=0
  while IFS=$TAB read -r bytes entries folder; do
    all=$((all + entries)) size=$((size + bytes))
    [[ $folder != - ]] && ((named++ < 20 && ${#shown} < 4000)) || continue
    dec "$folder"
    js "$REPLY"
    shown+=${shown:+,}"{\"folder\":$REPLY,\"entries\":$entries,\"bytes\":$bytes}"
  done <"$DIR/tops"
  while IFS= read -r line; do
    if ((${#not} >= 3000)); then
      more=$((more + 1))
      continue
    fi
    dec "$line"
    js "${REPLY:0:400}"
    not+=${not:+,}$REPLY
  done <"$DIR/not-compared"
  ((more == 0)) || not+=",\"and $more more\""
  REPLY="{\"entries\":$all,\"bytes\":$size,\"folders\":[$shown]${not:+,\"notCompared\":[$not]}}"
}
