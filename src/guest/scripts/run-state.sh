# What the run has in the guest: its mounts, and what its verification has come to. Reads only.
need run
read_mounts
mounts=
for m in "${!M_AT[@]}"; do
  [[ ${M_AT[m]} == "$RUN_DIR/mnt/"* ]] || continue
  js "${M_AT[m]}"
  mounts+=${mounts:+,}$REPLY
done
verification=none verified=false
if job_alive verify; then verification=running
elif [[ -e $RUN_DIR/verify/result ]]; then
  verification=failed
  if read -r state <"$RUN_DIR/verify/result" && [[ $state == "done" ]] && IFS= read -r verdict <"$RUN_DIR/verify/verdict"; then
    verification=ended
    [[ $verdict != *'"verified":true'* ]] || verified=true
  fi
elif [[ -d $RUN_DIR/verify ]]; then verification=failed
fi
answer "{\"mounts\":[$mounts],\"verification\":\"$verification\",\"verified\":$verified}"
