# Ends the run's own jobs, takes the recovery disk's folders away, sets it offline, and removes the run's folder. Nothing
# mounted is success. Refused while the recovery disk is seen elsewhere: a reboot may have put it in the original's place.
Enter-Lock
foreach ($job in @('copy', 'verify')) {
  if (Test-Job $job) {
    Stop-Process -Id ([int](Read-Line (Get-JobFile $job 'pid') 0).Split(' ')[0]) -Force
    for ($try = 0; $try -lt 50 -and (Test-Job $job); $try++) { Start-Sleep -Milliseconds 200 }
  }
}
$mounts = $RunDir + '\mnt\'
$offline = @{}
$count = 0
$partitions = @(Get-Partition -ErrorAction SilentlyContinue)
foreach ($partition in $partitions) {
  foreach ($place in (Get-Places $partition)) {
    if (-not $place.StartsWith($mounts, [StringComparison]::OrdinalIgnoreCase)) { continue }
    Remove-PartitionAccessPath -DiskNumber $partition.DiskNumber -PartitionNumber $partition.PartitionNumber -AccessPath $place
    $offline[[int]$partition.DiskNumber] = $true
    $count++
  }
}
$serial = [string](Get-Field $In 'recoverySerial' '')
if ($serial -ne '') { foreach ($disk in @(Find-Disk $serial)) { $offline[[int]$disk.Number] = $true } }
foreach ($number in @($offline.Keys)) {
  foreach ($partition in (Get-PartitionsOf $number)) {
    foreach ($place in (Get-Places $partition)) {
      Deny 'RecoveryDiskMounted' ('partition {0} of the recovery disk is seen at {1}, and not by this run: what was written there since is on the recovery disk only; save it, take the letter or folder away in Disk Management, then try again' -f $partition.PartitionNumber, $place)
    }
  }
  $disk = Get-Disk -Number $number
  if (-not [bool]$disk.IsBoot -and -not [bool]$disk.IsSystem -and -not [bool]$disk.IsOffline) { Set-Disk -Number $number -IsOffline $true }
}
if ([IO.Directory]::Exists($RunDir)) { [IO.Directory]::Delete($RunDir, $true) }
if ([IO.Directory]::Exists($Base) -and @([IO.Directory]::GetFileSystemEntries($Base)).Count -eq 0) { [IO.Directory]::Delete($Base) }
Send-Answer ([ordered]@{ unmounted = $count })
