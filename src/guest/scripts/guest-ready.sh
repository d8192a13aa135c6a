# Waits until the boot has ended, where systemd can tell: before that, local file systems may not be mounted yet.
need waitSeconds
state=unknown
if [[ -d /run/systemd/system ]]; then
  deadline=$((SECONDS + IN[waitSeconds]))
  while :; do
    state=$(systemctl is-system-running)
    # `degraded`: the boot has ended, some unit of the guest's own failed.
    [[ $state == @(running|degraded) ]] && break
    [[ $state != @(maintenance|stopping) ]] ||
      fail GuestNotReady "the guest is in the state $state of systemd: its boot did not end well"
    ((SECONDS < deadline)) || fail GuestNotReady "the guest is still $state after ${IN[waitSeconds]} s"
    sleep 1
  done
fi
# The earliest that this boot can have written anything, by the guest's clock: as it is now, and as it was when the device
# nodes were made, before any clock was set right.
booted=$(find /dev -maxdepth 1 -printf '%C@\n' | sort -n | head -n 1)
read -r _ by_clock < <(grep '^btime ' /proc/stat)
((${booted%.*} <= by_clock)) || booted=$by_clock.0
answer "{\"bootId\":\"$BOOT\",\"bootedAt\":\"$booted\"}"
