# Takes one part of a list of paths that is too long to travel at once: gzipped, NUL after each path, in Base64. The last part
# completes it.
for key in part parts sha256 data; do need "$key"; done
[[ ${IN[part]} =~ ^[0-9]{1,4}$ && ${IN[parts]} =~ ^[0-9]{1,4}$ && ${IN[sha256]} =~ ^[0-9a-f]{64}$ ]] || refuse InvalidInput "part ${IN[part]} of ${IN[parts]} is none"
lock
base64 -d <<<"${IN[data]}" >"$RUN_DIR/list.${IN[part]}" || fail GuestError "cannot write to $RUN_DIR"
if ((IN[part] == IN[parts])); then
  for ((i = 1; i <= IN[parts]; i++)); do cat -- "$RUN_DIR/list.$i" || fail ListIncomplete "part $i of the list is not there"; done >"$RUN_DIR/list.gz"
  [[ $(sha256sum <"$RUN_DIR/list.gz") == "${IN[sha256]} "* ]] || fail ListIncomplete 'the list is not what was sent'
  rm -f "$RUN_DIR"/list.[0-9]*
fi
answer '{}'
