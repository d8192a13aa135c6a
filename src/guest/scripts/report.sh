# One page of the run's report. Reads only. Paths come escaped: \\ \n \t, and \xNN for bytes that are no UTF-8; beyond 2,500
# bytes they are cut.
need page
[[ -e $KEPT_DIR/report.gz ]] || refuse NoReport "the guest keeps no report of the run $RUN: it has not come to compare anything, or what it kept was removed"
wanted() {
  local i
  REPLY=
  for ((i = 0; i < ${IN[$1.#]-0}; i++)); do REPLY+=,${IN[$1.$i]}; done
  REPLY=${REPLY:+$REPLY,}
}
AWK_PAGE='
BEGIN { FS = OFS = "\t"; verdicts = ENVIRON["VERDICTS"]; actions = ENVIRON["ACTIONS"]; under = ENVIRON["UNDER"]; p = 1 }
verdicts != "" && !index(verdicts, "," $1 ",") || actions != "" && !index(actions, "," $2 ",") { next }
under != "" && $4 != under && substr($4, 1, length(under) + 1) != under "/" { next }
{
  # What it takes as JSON.
  shown = $4; cost = 80 + length(shown) + 5 * gsub(/[^ -~]|[\\"]/, "", shown)
  if (lines == 100 || lines && used + cost > 14000) { p++; lines = used = 0 }
  lines++; used += cost; total++; bytes += $3
  if (p == page) print
}
END { printf "%d\t%d\t%.0f\n", p, total, bytes }
'
enc "${IN[under]-}"
export UNDER=${REPLY%/}
wanted verdicts && export VERDICTS=$REPLY
wanted actions && export ACTIONS=$REPLY
out= last=
while IFS= read -r line; do
  if [[ $last ]]; then
    IFS=$TAB read -r verdict action size path <<<"$last"
    path=${path//\\s/\\\\}
    ((${#path} <= 2500)) || path=${path:0:2500}…
    js "$path"
    out+=${out:+,}"{\"verdict\":\"$verdict\",\"action\":\"$action\",\"bytes\":$size,\"path\":$REPLY}"
  fi
  last=$line
done < <(gzip -dc "$KEPT_DIR/report.gz" | awk "-vpage=${IN[page]}" "$AWK_PAGE")
IFS=$TAB read -r pages total bytes <<<"$last"
[[ ${total-} ]] || fail GuestError 'the report cannot be read'
answer "{\"entries\":[$out],\"page\":${IN[page]},\"pages\":$pages,\"total\":$total,\"bytes\":$bytes}"
