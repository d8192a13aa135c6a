# Put before every guest script: reads the input, answers in JSON, keeps the run's folder and its lock. bash 4.2 or newer.
# Only the answer reaches the script's output: what tools print may hold names or content, and stays in the guest.
set -u
export LC_ALL=C
umask 077
PATH=/usr/sbin:/usr/bin:/sbin:/bin:${PATH:-}
shopt -u patsub_replacement 2>/dev/null
exec 3>&1 1>/dev/null 2>/dev/null </dev/null
BASE=/run/ecs-rollback
TAB=$'\t'
declare -A IN=()

# REPLY = $1 as a JSON string. Bytes that are no UTF-8 are shown as \xNN.
js() {
  local s=${1//\\/\\\\} i c u
  s=${s//\"/\\\"}
  if [[ $s == *[[:cntrl:]]* ]]; then
    for ((i = 1; i < 32; i++)); do
      printf -v c '%03o' "$i"
      printf -v c "\\$c"
      printf -v u '\\u%04x' "$i"
      s=${s//"$c"/$u}
    done
  fi
  if [[ $s == *[$'\x80'-$'\xff']* && ! $s =~ $UTF8 ]]; then
    for ((i = 128; i < 256; i++)); do
      printf -v c '%03o' "$i"
      printf -v c "\\$c"
      printf -v u '\\\\x%02x' "$i"
      s=${s//"$c"/$u}
    done
  fi
  REPLY=\"$s\"
}
_t=$'[\x80-\xbf]'
UTF8=$'^([\x01-\x7f]|[\xc2-\xdf]'$_t$'|\xe0[\xa0-\xbf]'$_t$'|[\xe1-\xec\xee\xef]'$_t$_t$'|\xed[\x80-\x9f]'$_t
UTF8+=$'|\xf0[\x90-\xbf]'$_t$_t$'|[\xf1-\xf3]'$_t$_t$_t$'|\xf4[\x80-\x8f]'$_t$_t')*$'

# The one line of output. `refuse`: the guest is not as it must be and trying again does not help.
answer() {
  printf '{"ok":true,"result":%s}\n' "$1" >&3
  exit 0
}
no() {
  local c m
  js "$2" && c=$REPLY
  js "${3:0:3000}" && m=$REPLY
  printf '{"ok":false,"refused":%s,"code":%s,"message":%s}\n' "$1" "$c" "$m" >&3
  exit 0
}
refuse() { no true "$@"; }
fail() { no false "$@"; }

# JSON reader: IN[path] with the parts of the path joined by dots; IN[path.#] is the length of an array.
bad_input() { refuse InvalidInput "the script's input is not the JSON that it must be: $1"; }
json_ws() { while [[ $J == [$' \t\r\n']* ]]; do J=${J:1}; done; }
json_hex4() {
  [[ ${J:2:4} =~ ^[0-9a-fA-F]{4}$ ]] || bad_input 'a bad \u escape'
  CP=$((16#${J:2:4}))
  J=${J:6}
}
utf8_of() {
  local o
  if (($1 < 0x80)); then printf -v o '\\%03o' "$1"
  elif (($1 < 0x800)); then printf -v o '\\%03o' $((0xc0 | $1 >> 6)) $((0x80 | $1 & 63))
  elif (($1 < 0x10000)); then printf -v o '\\%03o' $((0xe0 | $1 >> 12)) $((0x80 | $1 >> 6 & 63)) $((0x80 | $1 & 63))
  else
    printf -v o '\\%03o' $((0xf0 | $1 >> 18)) $((0x80 | $1 >> 12 & 63)) $((0x80 | $1 >> 6 & 63)) $((0x80 | $1 & 63))
  fi
  printf -v REPLY "$o"
}
json_string() {
  local chunk high
  [[ $J == \"* ]] || bad_input 'a string was expected'
  STR= J=${J:1}
  while :; do
    chunk=${J%%[\"\\]*}
    ((${#chunk} < ${#J})) || bad_input 'a string does not end'
    STR+=$chunk
    J=${J:${#chunk}}
    if [[ $J == \"* ]]; then
      J=${J:1}
      return
    fi
    case ${J:1:1} in
      n) STR+=$'\n' ;;
      t) STR+=$'\t' ;;
      r) STR+=$'\r' ;;
      b) STR+=$'\b' ;;
      f) STR+=$'\f' ;;
      [\"\\/]) STR+=${J:1:1} ;;
      u)
        json_hex4
        if ((CP >= 0xd800 && CP < 0xdc00)) && [[ $J == \\u* ]]; then
          high=$CP
          json_hex4
          ((CP >= 0xdc00 && CP < 0xe000)) || bad_input 'half a surrogate pair'
          CP=$((0x10000 + (high - 0xd800 << 10) + CP - 0xdc00))
        fi
        ((CP > 0 && (CP < 0xd800 || CP > 0xdfff))) || bad_input 'NUL or half a surrogate pair'
        utf8_of "$CP"
        STR+=$REPLY
        continue
        ;;
      *) bad_input 'an unknown escape' ;;
    esac
    J=${J:2}
  done
}
json_value() {
  local p=$1 k n=0 word
  json_ws
  case $J in
    \{* | \[*)
      k=${J:0:1}
      J=${J:1}
      json_ws
      if [[ $J == [\]\}]* ]]; then J=${J:1}
      else
        while :; do
          if [[ $k == \{ ]]; then
            json_ws
            json_string
            json_ws
            [[ $J == :* ]] || bad_input 'a colon was expected'
            J=${J:1}
            json_value "${p:+$p.}$STR"
          else
            json_value "${p:+$p.}$n"
            n=$((n + 1))
          fi
          json_ws
          case $J in
            ,*) J=${J:1} ;;
            [\]\}]*)
              J=${J:1}
              break
              ;;
            *) bad_input 'a comma was expected' ;;
          esac
        done
      fi
      [[ $k == \{ ]] || IN[${p:+$p.}#]=$n
      ;;
    \"*)
      json_string
      IN[$p]=$STR
      ;;
    *)
      word=${J%%[],\} $'\t\r\n']*}
      [[ $word =~ ^(true|false|null|-?[0-9][0-9.eE+-]*)$ ]] || bad_input 'an unknown word'
      IN[$p]=$word
      J=${J:${#word}}
      ;;
  esac
}
need() { [[ ${IN[$1]+set} ]] || bad_input "$1 is missing"; }

J=$(base64 -d <<<"$INPUT_B64" && printf .) || bad_input 'no Base64'
J=${J%.}
json_value ''
RUN=${IN[run]-none}
[[ $RUN =~ ^[a-z0-9-]{1,64}$ ]] || bad_input 'run is not [a-z0-9-]{1,64}'
# What was found and mounted before a reboot is not what is there after it: fstab may have taken the copy for the original.
read -r BOOT </proc/sys/kernel/random/boot_id
[[ ${IN[bootId]:-$BOOT} == "$BOOT" ]] || refuse GuestRebooted \
  'the guest was rebooted while the recovery disk was attached, which may have mounted it in place of the original: see what is mounted (findmnt) before anything is copied, then try again'
RUN_DIR=$BASE/$RUN
STAGE=.ecs-rollback-$RUN

# One script at a time changes things. The file may be removed under us by an `unmount`: then take the new one.
lock() {
  while :; do
    mkdir -p "$RUN_DIR" && exec 9>"$BASE/lock" || fail GuestError "cannot make $RUN_DIR"
    flock -w 100 9 || fail Busy 'another script of ecs-rollback is at work in this guest'
    [[ $BASE/lock -ef /proc/self/fd/9 && -d $RUN_DIR ]] && return
  done
}

# M_ID M_DEV M_ROOT M_AT M_OPTS M_TYPE M_SRC M_SUPER: the mounts as the kernel has them, in mount order.
read_mounts() {
  local id parent dev root at opts rest
  M_ID=() M_DEV=() M_ROOT=() M_AT=() M_OPTS=() M_TYPE=() M_SRC=() M_SUPER=()
  while read -r id parent dev root at opts rest; do
    rest=" $rest"
    rest=${rest#* - }
    printf -v at '%b' "${at//\\/\\0}"
    printf -v root '%b' "${root//\\/\\0}"
    M_ID+=("$id") M_DEV+=("$dev") M_ROOT+=("$root") M_AT+=("$at") M_OPTS+=("$opts") M_TYPE+=("${rest%% *}")
    rest=${rest#* }
    M_SRC+=("${rest%% *}") M_SUPER+=("${rest#* }")
  done </proc/self/mountinfo
}

# REPLY = the first part of path $2 below root $1 (the last part left out) that is a symbolic link, or nothing.
link_on_way() {
  local at=${1%/} rest=$2
  REPLY=
  while [[ $rest == */* ]]; do
    at+=/${rest%%/*}
    rest=${rest#*/}
    if [[ -L $at ]]; then
      REPLY=$at
      return
    fi
  done
}
