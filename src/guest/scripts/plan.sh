# Decides for each entry what to do, once, before anything is written.

# Lines into $M: `files` (to be brought back: class, inode, size, blocks, links, key, meta, how, name), `dirs` (those that
# are missing), `tops` (the highest of them), `meta` (directories whose attributes are brought back), `kept`, `away` (live
# entries that make room: a file for a directory, or deleted), `maybe` (only the content can tell), `report`.
# how: n nothing is there, f replaces what is there, b goes beside it.
AWK_PLAN='
function report(verdict, action, size, name) {
  print verdict, action, size, prefix substr(name, 2) >report_file
  count[verdict]++; bytes[verdict] += size
}
function parent(name) { sub(/\/[^\/]*$/, "", name); return name }
function live_next() { live = ((getline row < live_file) > 0) ? split(row, l, "\t") : 0 }
# A live entry that B lacks.
function only_live(  deleted) {
  deleted = base != "" && newer(base, l[8]) && !(l[1] in nest)
  if (l[2] == "d") l[6] = 0
  if (deleted && remove) { report("deleted-since-A", "delete", l[6], l[1]); print l[2], l[8], l[1] >away }
  else report(deleted ? "deleted-since-A" : "only-live", "none", l[6], l[1])
}
function keep(verdict, action) { print $1, verdict >kept; report(verdict, action, $6, $1) }
# The answer for an entry that is there on both sides and not the same.
function differs(  take) {
  if ($2 == "d" && l[2] == "d" && at("promised", $1)) { verdict = "changed-in-B"; return "f" }
  if (base != "" && newer(base, l[8])) { verdict = "changed-in-B"; return policy == "keep-live" ? "k" : "f" }
  take = policy == "take-b"
  if (base == "") {
    verdict = newer($7, l[7]) || ($7 == l[7] && newer($8, l[8])) ? "changed-in-B" : "live-is-newer"
    if (verdict == "changed-in-B" && policy != "keep-live") take = 1
  } else if (a_time != "" && !newer($8, a_time)) verdict = "changed-live"
  else verdict = "conflict"
  if ($2 == "d" && l[2] == "d") {
    # What an application put into a directory is no conflict with what the directory is.
    if (verdict == "conflict" && (policy == "newer-wins" || policy == "both") && newer($7, l[7])) take = 1
    return take ? "f" : "k"
  }
  if (take && !(since_a && verdict == "changed-live")) return "f"
  if (same && $2 == "f") return "h"
  if (policy == "keep-live" || verdict == "changed-live") return "k"
  if (policy == "both" && $2 != "d" && l[2] != "d") return "b"
  return "k"
}
function top_of(name,  up) {
  up = parent(name)
  return up in top ? top[up] : ""
}
function new_dir(name,  t) {
  t = top_of(name)
  if (t == "") { t = name; print name >tops }
  top[name] = t
  print name >dirs
}
# What a live file is known again by. Keeping another name of it aside changes its change time.
function key() { return l[7] "," (l[10] > 1 ? "-" : l[8]) "," l[9] "," l[6] }
function file(how,  class) {
  class = $10 == 1 && how == "n" && top_of($1) != "" ? 0 : 1
  print class, $9, $6, $11, $10, there ? key() : "-",
    $2 " " $3 " " $4 " " $5 " " $6 " " $7, how, $1, same, verdict >($10 > 1 ? links : files)
}
BEGIN {
  open("promised", promised)
  while ((getline row < nests) > 0) nest[row] = 1
  if (base != "") {
    # The newest change that was already in A, by the clock of the guest.
    while ((getline row < live_file) > 0) {
      split(row, l, "\t")
      if (newer(base, l[8]) && (a_time == "" || newer(l[8], a_time))) a_time = l[8]
    }
    close(live_file)
  }
  while ((getline row < parents) > 0) new_dir(row)
  live_next()
}
{
  while (live && (l[1] "\t") < ($1 "\t")) { only_live(); live_next() }
  there = live && l[1] == $1; up = parent($1); same = 0; how = ""
  if (up in blocked) {
    if (blocked[up] == "nest") { print $1 >nested; exit }
    how = "k"; verdict = blocked[up]
  }
  if ($2 == "d") $6 = 0
  if (there && l[2] == "d") { l[6] = 0; if (base != "" && !newer(base, l[8])) stirred[$1] = 1 }
  if (there) same = $2 == l[2] && $3 == l[3] && $4 == l[4] && $5 == l[5] && $6 == l[6] && $7 == l[7] && $12 == l[12]
  if ($1 in nest) { how = "k"; verdict = "other-file-system"; blocked[$1] = "nest" }
  else if (how != "") { }
  else if (!there) {
    how = "n"; verdict = "only-in-B"
    # Nothing of it has changed from A to B, so that it was there after the reset; its directory has changed since.
    if (up in stirred && a_time != "" && !newer($8, a_time)) {
      verdict = "deleted-live"
      if (policy == "newer-wins" || policy == "both" || since_a) how = "k"
    }
  } else if (same && $8 == l[8]) { how = "="; verdict = "same" }
  else how = differs()

  if ($2 == "d") {
    if (how == "n") { new_dir($1); print $1 >meta }
    else if (how == "f" && l[2] != "d") {
      report(verdict, "replace", 0, $1)
      print "!", l[8], $1 >away
      new_dir($1); print $1 >meta
    } else if (how == "k") {
      if (l[2] != "d" || !there) { if (!($1 in blocked)) blocked[$1] = verdict; keep(verdict, "keep") }
      else { print $1, verdict >kept; if ($3 != l[3] || $4 != l[4] || $5 != l[5]) report(verdict, "keep", 0, $1) }
    } else print $1 >meta
  } else if (how == "k") keep(verdict, "keep")
  else if (there && l[2] == "d" && how != "=") {
    # Nothing makes a live directory go away for a file. The verification names it.
    print $1 >obstacles; report("directory-in-the-way", "keep", $6, $1)
  } else if (how == "h") print $9, $6, $11, $10, key(),
    $2 " " $3 " " $4 " " $5 " " $6 " " $7, verdict, $1 >maybe
  else if (how != "=" || $10 > 1) { file(how); if (how == "b") print $1, "beside" >kept; if (how != "=") report(verdict, how == "b" ? "beside" : "take", $6, $1) }
  if (there) live_next()
}
END {
  while (live) { only_live(); live_next() }
  for (v in count) print v, count[v], bytes[v] >totals
}
'
# Of files whose times and sizes say nothing, both sides are read.
AWK_MAYBE='
BEGIN { open("b", b_hash); open("live", live_hash) }
{
  equal = at("b", $8) && at("live", $8) && V["b"] == V["live"]
  if (equal && $4 > 1) print 1, $1, $2, $3, $4, $5, $6, "=", $8, 1, "same-content" >>links
  else if (equal) print $8, "same-content" >>kept
  else if (policy == "both") {
    print 1, $1, $2, $3, 1, $5, $6, "b", $8, 1, $7 >>files
    print $8, "beside" >>kept
    print $7, "beside", $2, prefix substr($8, 2) >>report_file
  } else {
    print $8, $7 >>kept
    print $7, "keep", $2, prefix substr($8, 2) >>report_file
  }
  if (!equal) { count[$7]++; bytes[$7] += $2 }
}
END { for (v in count) print v, count[v], bytes[v] >>totals }
'
# Hard links: when one name of a file is brought back, so are the others, lest the live names fall apart.
AWK_LINKS='
function flush(  i, f) {
  for (i = 1; i <= n; i++) {
    split(g[i], f, "\t")
    if (f[8] == "=" && (taken || apart) && f[10] == 1 && policy != "keep-live") f[8] = "f"
    if (f[8] != "=") print f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9]
    else if (f[11] == "same-content") print f[9], f[11] >>kept
  }
  n = taken = apart = 0; inode = ""
}
$2 != last { flush(); last = $2 }
{
  g[++n] = $0
  if ($8 == "n" || $8 == "f") taken = 1
  if ($8 == "=") { split($6, k, ","); if (inode != "" && inode != k[3]) apart = 1; inode = k[3] }
}
END { flush() }
'
# Pieces of work, each a file of its own: what is new as a whole tree (.new), what is put among live entries (.put).
AWK_PIECES='
function piece() { if (out) close(out); out = sprintf("%s/%07d.%s", folder, ++pieces, $1 ? "put" : "new"); lines = size = 0 }
$2 != last && ($1 != class || lines >= most || size + $3 > 67108864 && lines) || !out { piece() }
{
  print >out
  lines++; files++; bytes += $3
  if ($2 != last) { size += $3; blocks += $4; nodes++ }
  class = $1; last = $2
}
END { print files + 0, bytes + 0, blocks * 512, nodes + 0 }
'

plan_mount() {
  local root at rest i f
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
  sort_list "$M/parents" -u
  scan
  find_open_files
  read_mounts
  for i in "${!M_AT[@]}"; do
    [[ ${M_AT[i]} == "${TO%/}/"?* && ${M_AT[i]} != "$TO" ]] || continue
    enc ".${M_AT[i]#"${TO%/}"}" && echo "$REPLY"
  done >"$M/nests"
  for f in files dirs tops meta kept away maybe report links nested obstacles totals promised; do : >"$M/$f"; done
  enc "${TO%/}"
  local prefix=$REPLY vars=(-v "policy=$POLICY" -v "report_file=$M/report" -v "kept=$M/kept" -v "files=$M/files"
    -v "links=$M/links" -v "totals=$M/totals")
  # A name in an assignment of awk would be read for escapes.
  export PREFIX=$prefix
  [[ ! -e $KEPT_DIR/directories ]] ||
    awk 'BEGIN { p = ENVIRON["PREFIX"] } $0 == p || index($0, p "/") == 1 { print "." substr($0, length(p) + 1) "\t" }' "$KEPT_DIR/directories" |
    sorted -u >"$M/promised"
  awk "${vars[@]}" -v "base=$SINCE" -v "since_a=$ONLY_SINCE_A" -v "remove=$REMOVE" -v "live_file=$M/live" -v "nests=$M/nests" -v "parents=$M/parents" \
    -v "dirs=$M/dirs" -v "tops=$M/tops" -v "meta=$M/meta" -v "away=$M/away" -v "maybe=$M/maybe" -v "nested=$M/nested" -v "promised=$M/promised" \
    -v "obstacles=$M/obstacles" "$AWK_LISTS BEGIN { prefix = ENVIRON[\"PREFIX\"] } $AWK_PLAN" "$M/b" || die 'the plan could not be made'
  if [[ -e $M/only ]]; then
    # What is listed and not there.
    cut -f1 "$M/b" | sorted | comm -13 - "$M/only" >"$M/absent"
    awk -v "report_file=$M/report" -v "totals=$M/totals" "$AWK_LISTS"'{ print "not-in-B", "none", 0, ENVIRON["PREFIX"] substr($1, 2) >>report_file }
      END { if (NR) print "not-in-B", NR, 0 >>totals }' "$M/absent"
  fi
  if [[ -s $M/nested ]]; then
    dec "$(<"$M/nested")"
    stop NestedMount "${TO%/}${REPLY#.} lies below another mount: select paths without it"
  fi
  if [[ -s $M/maybe ]]; then
    cd -P -- "$FROM" && cut -f8 "$M/maybe" | decode | hashes | sorted >"$M/maybe-b"
    cd -P -- "$TO" && cut -f8 "$M/maybe" | decode | hashes | sorted >"$M/maybe-live"
    awk "${vars[@]}" -v "b_hash=$M/maybe-b" -v "live_hash=$M/maybe-live" \
      "$AWK_LISTS BEGIN { prefix = ENVIRON[\"PREFIX\"] } $AWK_MAYBE" "$M/maybe" || die 'the plan could not be made'
  fi
  [[ ! -s $M/links ]] || sorted -t "$TAB" -k2,2n -k9 "$M/links" | awk "${vars[@]}" "$AWK_LISTS $AWK_LINKS" >>"$M/files"
  respect_flags
  [[ ! -e $M/c ]] || rm -rf "$M/c"
  mkdir "$M/c"
  echo 0 0 0 0 >"$M/sum"
  if [[ -s $M/files ]]; then
    lines_of_piece "$M/files"
    sorted -t "$TAB" -k1,1n -k2,2n "$M/files" | awk -v "folder=$M/c" -v "most=$REPLY" "$AWK_LISTS $AWK_PIECES" >"$M/sum" || die 'the plan could not be made'
  fi
  [[ ! -s $M/parents ]] || cat "$M/parents" >>"$M/meta"
  sort_list "$M/meta" -u
  sort_list "$M/kept" -u
  # A name has no tabs: a line that has is one of `files`.
  awk -F'\t' '{ print (NF > 1 ? $9 : $1) }' "$M/files" "$M/dirs" "$M/meta" | sorted -u >"$M/brought"
  rm -f "$M"/{b,live,links,files,maybe*,nests,nested,promised}
  local files bytes blocks nodes dirs=0
  read -r files bytes blocks nodes <"$M/sum"
  [[ ! -s $M/dirs ]] || dirs=$(wc -l <"$M/dirs")
  FILES=$((FILES + files)) BYTES=$((BYTES + bytes))
  check_space "$files" "$bytes" "$blocks" "$((nodes + dirs))"
}
# What is replaced stays, aside: all that is brought back needs room of its own.
check_space() {
  local free unit nodes all need=$(($3 + 16777216)) inodes=$(($4 + 600))
  read -r free unit nodes all < <(stat -f -c '%a %S %d %c' -- "$TO")
  free=$((free * unit))
  (($1 == 0 || need <= free)) ||
    stop NoSpace "$TO has $free bytes free, and up to $need are needed to bring back $1 files of $2 bytes and to keep aside what they replace"
  ((all == 0 || $4 == 0 || inodes <= nodes)) ||
    stop NoSpace "$TO has $nodes inodes free, and $inodes are needed to bring back $1 files"
}
