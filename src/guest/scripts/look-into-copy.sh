# Looks into the mounted copy and at what is live beside it: lists a folder, finds names, shows differences. Reads only.
for key in mounts.# what path; do need "$key"; done
WHAT=${IN[what]} MOST=100
at=${IN[path]}
[[ $at == / ]] || at=${at%/}
best=-1
for ((i = 0; i < IN[mounts.#]; i++)); do
  o=${IN[mounts.$i.originalMount]}
  if [[ $o == / || $at == "$o" || $at == "$o/"* ]] && ((${#o} > best)); then best=${#o} FROM=${IN[mounts.$i.recoveryMount]} TO=$o; fi
done
((best >= 0)) || refuse PathNotOnDisk "$at is not on a file system of the copy that is mounted"
REL=${at#"${TO%/}"}
for side in "$FROM" "$TO"; do
  link_on_way "$side" "${REL#/}/"
  [[ ! $REPLY ]] || refuse PathThroughSymlink "$at goes through a symbolic link: $REPLY"
done
[[ -d $FROM$REL || -d ${TO%/}$REL ]] || refuse PathNotFound "$at is no directory, neither on the copy nor live"

depth=()
[[ $WHAT != browse ]] || depth=(-maxdepth 1)
name=()
[[ $WHAT != find ]] || name=(-name "${IN[pattern]}")
# Rows of one side: name, type, size, time, link target. Directories count by their entries, not by size or time.
side() {
  cd -P -- "$1$REL/" || return 0
  find . -mindepth 1 "${depth[@]}" -xdev -path './.ecs-rollback-*' -prune -o -mindepth 1 "${name[@]}" -printf '%P\0%y\0%s\0%T@\0%l\0' |
    sed -z 's/\\/\\s/g;s/\t/\\t/g;s/\n/\\n/g' | tr '\0' '\n' | paste - - - - - | sort -t "$TAB" -k1,1
}
decode_name() {
  REPLY=${1//\\n/$'\n'}
  REPLY=${REPLY//\\t/$TAB}
  REPLY=${REPLY//\\s/\\}
}
out= count=0 next= bytes=0
while IFS=$TAB read -r n bt bs bm bl lt ls lm ll; do
  if [[ $bt == - ]]; then verdict=only-live
  elif [[ $lt == - ]]; then verdict=only-in-b
  elif [[ $bt == d && $lt == d || "$bt $bs $bm $bl" == "$lt $ls $lm $ll" ]]; then verdict=same
  else verdict=changed; fi
  [[ $WHAT == diff && $verdict == same ]] && continue
  [[ $WHAT == find && $verdict == only-live ]] && continue
  if ((count == MOST || bytes > 12000)); then
    next=$last
    break
  fi
  decode_name "$n"
  js "$at/$REPLY" && shown=$REPLY
  [[ $bt != - ]] || bt=$lt bs=$ls bm=$lm
  case $bt in
    f) type=file ;;
    d) type=directory bs=0 ;;
    l) type=link ;;
    *) type=other ;;
  esac
  TZ=UTC printf -v when '%(%Y-%m-%dT%H:%M:%SZ)T' "${bm%.*}"
  out+=${out:+,}"{\"path\":$shown,\"type\":\"$type\",\"size\":$bs,\"modifiedAt\":\"$when\",\"verdict\":\"$verdict\"}"
  count=$((count + 1)) bytes=${#out} last=$n
done < <(
  export AFTER=${IN[after]-}
  join -t "$TAB" -a 1 -a 2 -e - -o 0,1.2,1.3,1.4,1.5,2.2,2.3,2.4,2.5 <(side "$FROM") <(side "${TO%/}") |
    awk -F "$TAB" '($1 "") > (ENVIRON["AFTER"] "")'
)
if [[ $next ]]; then
  js "$next"
  answer "{\"entries\":[$out],\"next\":$REPLY}"
fi
answer "{\"entries\":[$out]}"
