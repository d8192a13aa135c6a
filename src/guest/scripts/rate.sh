# A copy that leaves room for others.

# Passes its input on, at most RATE MiB of it in a second.
limited() {
  local start sent=0 got
  hundredths && start=$REPLY
  while :; do
    # An eighth of a second's worth.
    got=$(dd bs=64K "count=$((RATE * 2))" iflag=fullblock 2>&1 >&7 | sed -n 's/^\([0-9]*\) bytes.*/\1/p')
    ((got)) || break
    sent=$((sent + got))
    pause_until $((start + sent * 100 / (RATE * 1048576)))
  done
} 7>&1
# REPLY = the guest's uptime in hundredths of a second.
hundredths() {
  read -r REPLY _ </proc/uptime
  REPLY=${REPLY/./}
}
pause_until() {
  hundredths
  local ahead=$(($1 - REPLY))
  ((ahead <= 0)) || sleep "$((ahead / 100)).$(printf %02d $((ahead % 100)))"
}
# As fast as RATE lets it, which is 0 for no limit.
at_rate() { if ((RATE)); then limited; else exec cat; fi; }
