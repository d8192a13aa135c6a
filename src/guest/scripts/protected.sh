# Live entries that flags protect.

# What flags of live entries keep from being brought back: an entry that has one, what is to be put into a folder that has
# one, and what belongs to these. Of a file with several names none is brought then.
AWK_FLAGS='
function parent(name) { sub(/\/[^\/]*$/, "", name); return name }
function refused(name) { return name in lock || parent(name) in lock || parent(name) in gone }
function keep(name) { print name, "immutable" >>kept }
BEGIN { FS = OFS = "\t"; CONVFMT = OFMT = "%.0f"; while ((getline < locked) > 0) lock[$1] }
FILENAME ~ /dirs$/ { if (refused($1)) { gone[$1]; keep($1) } else print >out[FILENAME]; next }
FILENAME ~ /tops$/ { if (!($1 in gone)) print >out[FILENAME]; next }
FILENAME ~ /meta$/ { if ($1 in lock || $1 in gone) keep($1); else print >out[FILENAME]; next }
FILENAME ~ /away$/ { if (refused($3)) keep($3); else print >out[FILENAME]; next }
FILENAME ~ /files$/ {
  if (!again) { if (refused($9)) bad[$2]; next }
  if ($2 in bad) { keep($9); held[prefix substr($9, 2)] } else print >out[FILENAME]
  next
}
$4 in held { print $1, -1, -$3 >>totals; print "immutable", 1, $3 >>totals; $1 = "immutable"; $2 = "keep" }
{ print >out[FILENAME] }
'
# Before the pieces of work are made. With the policy `take-b` the flags are cleared for the copy, else they are respected.
respect_flags() {
  local root f vars=()
  cd -P -- "$TO" || die "$TO is gone"
  {
    awk -F'\t' 'FILENAME ~ /live$/ { if ($2 == "d") print $1; next } FILENAME ~ /files$/ { if ($8 == "f") print $9; next } { print $3 }' \
      "$M/live" "$M/files" "$M/away"
    for root in "${ROOTS[@]}"; do
      while [[ $root == */* ]]; do
        root=${root%/*}
        [[ ! -d $root ]] || { enc "$root" && echo "$REPLY"; }
      done
    done
  } | sorted -u | flagged >"$M/locked"
  sort_list "$M/locked" -u
  [[ -s $M/locked && $POLICY != take-b ]] || return 0
  for f in dirs tops meta away files report; do
    vars+=("$M/$f")
    : >"$M/$f.left"
  done
  awk "-vlocked=$M/locked" "-vkept=$M/kept" "-vtotals=$M/totals" "$AWK_FLAGS"'
    BEGIN { prefix = ENVIRON["PREFIX"]; for (i = 1; i < ARGC; i++) if (ARGV[i] !~ /=/) out[ARGV[i]] = ARGV[i] ".left" }' \
    "${vars[@]:0:5}" again=1 "$M/files" "$M/report" || die 'the plan could not be made'
  for f in "${vars[@]}"; do mv "$f.left" "$f"; done
  : >"$M/locked"
}
