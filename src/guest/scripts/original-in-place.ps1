# After the detach: refused while the original disk is offline. A guest that rebooted between the unmount and the detach may have
# taken the recovery disk online in its place. Reads only.
$serial = [string](Get-Field $In 'originalSerial' '')
if ($serial -ne '') {
  foreach ($disk in @(Find-Disk $serial)) {
    if ([bool]$disk.IsOffline) {
      Deny 'OriginalDisplaced' ('the original disk {0} is offline: the guest was rebooted before the recovery disk was detached, and had that in its place. What was written there since is on the recovery disk only: keep it until that is saved. Take disk {0} online in Disk Management, then try again' -f $disk.Number)
    }
  }
}
Send-Answer ([ordered]@{})
