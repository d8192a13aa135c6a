# Starts the verification as a detached job, or finds it running or done: after dropping the caches, every selected entry of
# the recovery disk against what is live: type, mode, owner, size, time, link target, hard links, content and attributes.
# An entry with the change time it has on the recovery disk has not been touched since A on either side: it is not read.
lock
[[ -e $RUN_DIR/copy/ended ]] || refuse NotCopied "the copy of the run $RUN has not ended in this guest since its last boot"
DIR=$RUN_DIR/verify
reply() { answer "{\"alreadyRunning\":$1}"; }
if job_alive verify; then reply true; fi
if read -r state <"$DIR/result" && [[ $state == done ]]; then reply true; fi
rm -rf "$DIR"
mkdir "$DIR"
cp -- "$RUN_DIR/copy/include" "$RUN_DIR/copy/exclude" "$DIR"
for m in "$RUN_DIR/copy/m"*; do
  mkdir "$DIR/${m##*/}"
  cp -- "$m/from" "$m/to" "$m/home" "$m/paths" "$m/kept" "$m/flags-set" "$m/relabelled" "$DIR/${m##*/}"
  [[ ! -e $m/only ]] || cp -- "$m/only" "$DIR/${m##*/}"
done
beside_the_copy

# What must be read: `check` (names, for the attributes of B; of these `check-live` are live, too), `hash` ("side, size, blocks, name").
AWK_SELECT='
BEGIN { open("live", live); open("kept", kept); open("b", b_hash) }
{
  here = at("live", $1); keep = at("kept", $1); known = at("b", $1)
  if (keep) next
  split(V["live"], v, "\t")
  if (here && v[7] == $8) next
  print $1 >check
  if (here) print $1 >check_live
  if ($2 != "f" || !here || v[1] != "f" || v[5] != $6) next
  if (!known) print "b", $6, $11, $1 >hash
  print "live", $6, $11, $1 >hash
}
'
AWK_HASH_PIECES='
function piece() { if (out) close(out); out = sprintf("%s/%07d.%s", folder, ++pieces, $1); lines = size = 0 }
$1 != side || lines >= most || size + $2 > 67108864 && lines || !out { piece() }
{ print $2, $3, $4 >out; lines++; files++; size += $2; bytes += $2; side = $1 }
END { print files + 0, bytes + 0 }
'
# All lists side by side. The manifest to standard output, what differs to `wrong`.
AWK_COMPARE='
BEGIN {
  open("live", live); open("kept", kept); open("b", b_hash); open("l", live_hash); open("ba", b_attr); open("la", live_attr)
  open("rel", relabelled)
  prefix = ENVIRON["PREFIX"]
}
{
  n = at("live", $1) ? split(V["live"], v, "\t") : 0
  for (i = n + 1; i <= 11; i++) v[i] = ""
  keep = at("kept", $1); known = at("b", $1)
  b = known ? V["b"] : ""; l = at("l", $1) ? V["l"] : ""
  ba = at("ba", $1) ? V["ba"] : ""; la = at("la", $1) ? V["la"] : ""
  # Its label is from the policy of the guest, not from B.
  if (at("rel", $1)) { sub(/[|]security[.]selinux=[^|]*/, "", ba); sub(/[|]security[.]selinux=[^|]*/, "", la) }
  group = why = ""
  if ($2 == "d") {
    $6 = 0; v[5] = 0
    # Somebody has put something into the directory since the copy ended.
    if (v[1] == "d" && newer(v[6], ended)) v[6] = $7
  } else {
    selected++; selected_bytes += $6
    if ($10 > 1) { if (!($9 in b_group)) b_group[$9] = $1; group = b_group[$9] }
  }
  print prefix substr($1, 2), $2 " " $3 " " $4 " " $5 " " $6 " " $7 " " b " " group " " $12 " " ba
  if (keep) {
    if ($2 != "d" && V["kept"] != "same-content") { kept_files++; kept_bytes += $6 }
    next
  }
  if ($2 != v[1] || $3 != v[2] || $4 != v[3] || $5 != v[4] || $6 != v[5] || $7 != v[6] || $12 != v[11]) why = "metadata"
  else if ($2 == "f" && $8 != v[7] && (b == "" || b != l)) why = "content"
  else if (ba != la) why = "attributes"
  # The first name of a file on B stands for all: they must be one file live too, and no other one.
  else if ($2 != "d" && ($10 > 1 || v[9] > 1)) {
    if ($10 > 1) { if (group in l_group && l_group[group] != v[8]) why = "links"; l_group[group] = v[8] }
    owner = group == "" ? $1 : group
    if (v[8] in l_owner && l_owner[v[8]] != owner) why = "links"
    l_owner[v[8]] = owner
  }
  if (why != "") print prefix substr($1, 2), why >wrong
}
END { print selected + 0, selected_bytes + 0, kept_files + 0, kept_bytes + 0 >totals }
'

hash_worker() {
  local piece side size blocks name root files bytes start
  for piece in "$M/c/"*; do
    [[ ! -e $DIR/fault ]] || break
    [[ -e $piece ]] && mv -T "$piece" "$M/w$1" || continue
    side=${piece##*.} root=$FROM
    [[ $side == b ]] || root=$TO
    cd -P -- "$root" || die "$root is gone"
    read -r files bytes < <(awk '{ b += $1 } END { printf "%d %.0f\n", NR, b }' "$M/w$1")
    IFS=$TAB read -r size blocks name <"$M/w$1"
    hundredths && start=$REPLY
    if ((size >= LARGE)); then
      dec "$name"
      hash_large "$root" "$REPLY" "$size" "$blocks"
      echo "$name$TAB$REPLY" >>"$M/$side-hash$1"
    else
      cut -f3 "$M/w$1" | decode | hashes >>"$M/$side-hash$1"
      ((RATE == 0)) || pause_until $((start + bytes * 100 / (RATE * 1048576)))
    fi
    echo "${M##*/}/${piece##*/} $files $bytes 0 0" >>"$DIR/journal"
  done
  exit 0
}

verify_job() {
  local m name why f files bytes size pids pieces
  . "$RUN_DIR/engine"
  BESIDE=.from-b-$RUN
  FILES=0 BYTES=0 SELECTED=0 SELECTED_BYTES=0 KEPT=0 KEPT_BYTES=0 WRONG=0 SHOWN=
  progress scanning 0 0 0 0
  for ((m = 0; m < COUNT; m++)); do
    open_mount "$DIR/m$m"
    sync -f "$TO" || sync
  done
  echo 3 >/proc/sys/vm/drop_caches
  ENDED=$(find "$RUN_DIR/copy/ended" -printf %T@)
  XATTRS=false
  command -v getfattr && XATTRS=true
  for ((m = 0; m < COUNT; m++)); do
    open_mount "$DIR/m$m"
    scan
    sort_list "$M/kept" -u
    for f in check check-live hash live-hash; do : >"$M/$f"; done
    find "$RUN_DIR/copy/m$m/h" ! -name '*.part' -type f -exec cat {} + | sorted -u >"$M/b-hash"
    awk "-vlive=$M/live" "-vkept=$M/kept" "-vb_hash=$M/b-hash" "-vcheck=$M/check" "-vcheck_live=$M/check-live" "-vhash=$M/hash" "$AWK_LISTS $AWK_SELECT" "$M/b" ||
      die 'the lists could not be compared'
    mkdir "$M/c"
    [[ -s $M/hash ]] || continue
    lines_of_piece "$M/hash"
    read -r files bytes < <(sorted -s -t "$TAB" -k1,1 "$M/hash" | awk "-vfolder=$M/c" "-vmost=$REPLY" "$AWK_LISTS $AWK_HASH_PIECES")
    FILES=$((FILES + files)) BYTES=$((BYTES + bytes))
  done
  # Beside the reading of what was copied.
  residue &
  local residue=$!
  : >"$DIR/journal"
  progress verifying 0 "$FILES" 0 "$BYTES"
  for ((m = 0; m < COUNT; m++)); do
    open_mount "$DIR/m$m"
    for f in b-attr live-attr wrong; do : >"$M/$f"; done
    pids=() pieces=("$M/c/"*)
    for f in $WORKERS; do
      [[ -e ${pieces[f - 1]-} ]] || break
      hash_worker "$f" &
      pids+=("$!")
    done
    # Beside the hashing: it waits for the disk where this waits for inodes.
    if [[ $XATTRS == true && -s $M/check ]]; then
      (cd -P -- "$FROM" && decode <"$M/check" | attributes - >"$M/b-attr") &
      pids+=("$!")
      (cd -P -- "$TO" && decode <"$M/check-live" | attributes - >"$M/live-attr") &
      pids+=("$!")
    fi
    join_workers ${pids[@]+"${pids[@]}"}
    for f in b live; do sorted -u -o "$M/$f-all" -- "$M/$f-hash"*; done
    enc "${TO%/}"
    export PREFIX=$REPLY
    awk "-vlive=$M/live" "-vkept=$M/kept" "-vb_hash=$M/b-all" "-vlive_hash=$M/live-all" "-vb_attr=$M/b-attr" \
      "-vlive_attr=$M/live-attr" "-vwrong=$M/wrong" "-vtotals=$M/totals" "-vended=$ENDED" "-vrelabelled=$M/relabelled" "$AWK_LISTS $AWK_COMPARE" "$M/b" ||
      die 'the lists could not be compared'
    if [[ -s $M/flags-set ]]; then
      (cd -P -- "$TO" && cut -f1 "$M/flags-set" | flagged) | sorted >"$M/flags-live"
      comm -23 "$M/flags-set" "$M/flags-live" | awk -v 'OFS=\t' -F'\t' '{ print ENVIRON["PREFIX"] substr($1, 2), "flags" }' >>"$M/wrong"
    fi
  done >"$DIR/manifest"
  for ((m = 0; m < COUNT; m++)); do
    open_mount "$DIR/m$m"
    read -r files bytes f size <"$M/totals"
    SELECTED=$((SELECTED + files)) SELECTED_BYTES=$((SELECTED_BYTES + bytes)) KEPT=$((KEPT + f)) KEPT_BYTES=$((KEPT_BYTES + size))
    enc "${TO%/}" && PREFIX=$REPLY
    beside
    while IFS=$TAB read -r name why; do
      WRONG=$((WRONG + 1))
      ((WRONG <= 50)) || continue
      dec "$name"
      js "$REPLY"
      ((${#SHOWN} + ${#REPLY} >= 12000)) || SHOWN+=${SHOWN:+,}$REPLY
    done <"$M/wrong"
  done
  local digest ok=false copied report open=
  read -r digest _ < <(sha256sum <"$DIR/manifest")
  ((WRONG > 0)) || ok=true
  read -r copied bytes <"$RUN_DIR/copy/copied"
  asides
  [[ ! -s $RUN_DIR/copy/open ]] || open=",\"openFiles\":$(<"$RUN_DIR/copy/open")"
  wait "$residue"
  residue_json
  residue=$REPLY
  report=
  ! keep_report "$DIR"/[mo]*/left "$DIR/unseen" || report_json
  printf '{"filesSelected":%d,"bytesSelected":%d,"filesCopied":%d,"bytesCopied":%d,"filesKeptLive":%d,"bytesKeptLive":%d,"verified":%s,"xattrsCompared":%s,"digest":"%s","mismatches":[%s],"mismatchCount":%d,"aside":[%s],"notBroughtBack":%s%s%s,"verdicts":{%s}}\n' \
    "$SELECTED" "$SELECTED_BYTES" "$copied" "$bytes" "$KEPT" "$KEPT_BYTES" "$ok" "$XATTRS" "$digest" "$SHOWN" "$WRONG" "$ASIDES" "$residue" "$report" "$open" \
    "$(awk '{ f[$1] += $2; b[$1] += $3 } END { for (v in f) { printf "%s\"%s\":{\"entries\":%.0f,\"bytes\":%.0f}", c, v, f[v], b[v]; c = "," } }' "$RUN_DIR"/copy/m*/totals)" >"$DIR/verdict"
  progress "done" "$FILES" "$FILES" "$BYTES" "$BYTES"
  job_end "done" '' ''
}
# What was put beside a live entry: a file byte by byte, of others what they are. A FIFO is never opened.
beside() {
  local name live b
  [[ -s $M/kept ]] || return 0
  while IFS= read -r name; do
    dec "$name"
    live=${REPLY##*/} b=$FROM/$REPLY
    live=$TO/${REPLY%/*}/${live:0:255-${#BESIDE}}$BESIDE
    [[ $(stat -c '%f %u %g %s %Y %t:%T' -- "$b") == "$(stat -c '%f %u %g %s %Y %t:%T' -- "$live")" &&
      $(readlink -- "$b") == "$(readlink -- "$live")" ]] && { [[ -L $b || ! -f $b ]] || cmp -s -- "$b" "$live"; } ||
      echo "$PREFIX${name#.}${TAB}beside" >>"$M/wrong"
  done < <(awk -F'\t' '$2 == "beside" { print $1 }' "$M/kept")
}
# Where what was replaced or deleted is kept.
asides() {
  local m n
  ASIDES=
  for ((m = 0; m < COUNT; m++)); do
    open_mount "$DIR/m$m"
    [[ -d ${TO%/}/$STAGE.aside ]] || continue
    n=$(find "${TO%/}/$STAGE.aside" ! -type d -printf x | wc -c)
    js "${TO%/}/$STAGE.aside"
    ASIDES+=${ASIDES:+,}"{\"folder\":$REPLY,\"files\":$n}"
  done
}
read -r RATE IO_CLASS <"$RUN_DIR/copy/throttle"
((RATE == 0)) || WORKERS=1
start_job verify verify_job
reply false
