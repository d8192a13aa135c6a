# Removes all that the run keeps in the guest: what it has kept aside, and its report. Nothing kept is success.
need dryRun
DRY=${IN[dryRun]}
[[ $DRY == true ]] || lock
roots
files=0 bytes=0 folders= report=false
for root in ${ROOTS[@]+"${ROOTS[@]}"}; do
  for dir in "${root%/}/$STAGE.aside" "${root%/}/$STAGE.restored.aside"; do
    [[ -d $dir && ! -L $dir ]] || continue
    read -r n size < <(find "$dir" -xdev ! -type d -printf '%s\n' | awk '{ b += $1 } END { printf "%d %.0f\n", NR, b }')
    files=$((files + n)) bytes=$((bytes + size))
    js "$dir"
    folders+=${folders:+,}$REPLY
    [[ $DRY != true ]] || continue
    touch -r "$root" "$RUN_DIR/root-time"
    rm -rf --one-file-system -- "$dir"
    if [[ -e $dir ]]; then
      chattr -R -i -a -- "$dir"
      rm -rf --one-file-system -- "$dir"
    fi
    touch -r "$RUN_DIR/root-time" "$root"
    [[ ! -e $dir ]] || fail GuestError "$dir could not be removed"
  done
done
[[ ! -e $KEPT_DIR/report.gz ]] || report=true
if [[ $DRY != true ]]; then
  rm -rf -- "$KEPT_DIR"
  rmdir "${KEPT_DIR%/*}"
  rm -f "$RUN_DIR/root-time"
  close_lock
  [[ ! -e $KEPT_DIR ]] || fail GuestError "$KEPT_DIR could not be removed"
fi
answer "{\"folders\":[$folders],\"files\":$files,\"bytes\":$bytes,\"report\":$report}"
