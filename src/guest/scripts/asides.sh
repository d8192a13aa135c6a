# ROOTS = the roots below which the run keeps things aside: where it said so itself, and on every mounted file system.
roots() {
  local root m
  local -A all=()
  while IFS= read -r -d '' root; do all[$root]=1; done <"$KEPT_DIR/roots"
  read_mounts
  for m in "${!M_AT[@]}"; do all[${M_AT[m]}]=1; done
  ROOTS=()
  for root in "${!all[@]}"; do
    m=${root%/}/$STAGE.aside
    # Nobody but root can have made it so.
    [[ -d $m && ! -L $m && $(stat -c '%u %a' -- "$m") == '0 700' ]] && ROOTS+=("$root")
  done
}
# The run may be open still: then its folder is not empty, and stays.
close_lock() {
  rmdir "$RUN_DIR"
  rm -f "$BASE/lock"
  rmdir "$BASE"
}
