# Trees as sorted lists: one line for each entry, tab-separated, names with \s \n \t for backslash, newline and tab, so that
# every name is one word of one line. Whatever bytes a name has, it is never read as an option, a pattern or a path of its own.
FORMAT='%p\0%y\0%m\0%U\0%G\0%s\0%T@\0%C@\0%i\0%n\0%b\0%l\0'

encode() { sed -z 's/\\/\\s/g;s/\t/\\t/g;s/\n/\\n/g' | tr '\0' '\n'; }
decode() { tr '\n' '\0' | sed -z 's/\\n/\n/g;s/\\t/\t/g;s/\\s/\\/g'; }
rows() { encode | paste - - - - - - - - - - - - | sort -u; }
enc() {
  REPLY=${1//\\/\\s}
  REPLY=${REPLY//$'\t'/\\t}
  REPLY=${REPLY//$'\n'/\\n}
}
dec() {
  REPLY=${1//\\n/$'\n'}
  REPLY=${REPLY//\\t/$'\t'}
  REPLY=${REPLY//\\s/\\}
}
# The names on standard input (NUL-terminated, relative to the current folder) that exist here.
look() { xargs -0 -r bash -c 'f=$1; shift; exec find "$@" -maxdepth 0 -printf "$f"' look "$FORMAT"; }

open_mount() {
  M=$1
  IFS= read -r -d '' FROM <"$M/from"
  IFS= read -r -d '' TO <"$M/to"
  ROOTS=()
  local p
  while IFS= read -r -d '' p; do ROOTS+=("$p"); done <"$M/paths"
}
# Everything selected on the recovery disk into $M/b, and what of it is live into $M/live.
scan() {
  cd -P -- "$FROM" || die "$FROM is not there"
  find "${ROOTS[@]}" -xdev -path './.ecs-rollback-*' -prune -o -printf "$FORMAT" >"$M/raw" ||
    die "the recovery disk could not be read to the end below $FROM"
  rows <"$M/raw" >"$M/b" && rm -f "$M/raw"
  cd -P -- "$TO" || die "$TO is not there"
  cut -f1 "$M/b" | decode | look | rows >"$M/live"
}
# Is time $1 later than $2? As find prints them, seconds and fraction.
newer() {
  local a=${1%.*} b=${2%.*}
  ((a > b)) || { ((a == b)) && [[ ${1#*.} > ${2#*.} ]]; }
}
# The device number in place of a link's target, for device nodes.
rdev() { stat -c %t:%T -- "$1/$2"; }
