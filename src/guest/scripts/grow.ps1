# Grows the original disk's last partition and the volume on it to the disk, after a rollback to a smaller layout. What is as
# large as it can be is left as it is, so it may run twice. What cannot be grown for sure is named.
$disk = Get-TheDisk 'original' ([string](Get-Needed $In 'originalSerial')) 0 0
Enter-Lock
Update-HostStorageCache
$grown = @()
$left = @()
$partitions = @(Get-PartitionsOf $disk.Number)
if ($partitions.Count -eq 0) { $left += 'disk {0} has no partition' -f $disk.Number }
else {
  $last = $partitions[$partitions.Count - 1]
  $number = [int]$last.PartitionNumber
  $layer = Get-Layer $last
  $volume = Get-VolumeOf $last
  if ($layer -ne '') { $left += 'partition {0} is on a {1}' -f $number, $layer }
  elseif ($null -eq $volume -or @('NTFS', 'ReFS') -notcontains $volume.Type) { $left += 'partition {0}, the last one, holds no volume that can be grown' -f $number }
  else {
    $places = @(Get-Places $last)
    $name = 'partition {0}' -f $number
    if ($places.Count -gt 0) { $name = $places[0] }
    $before = [long]$last.Size
    $most = [long](Get-PartitionSupportedSize -DiskNumber $disk.Number -PartitionNumber $number).SizeMax
    # Less than a MiB is what alignment leaves over.
    if ($most -gt $before + 1048576) {
      try {
        Resize-Partition -DiskNumber $disk.Number -PartitionNumber $number -Size $most
        $after = [long](Get-Partition -DiskNumber $disk.Number -PartitionNumber $number).Size
        $grown += [ordered]@{ what = ('{0} volume' -f $volume.Type); name = $name; fromBytes = $before; toBytes = $after }
      } catch {
        $left += '{0}: {1}' -f $name, $_.Exception.Message
      }
    }
  }
}
Send-Answer ([ordered]@{ grown = @($grown); left = @($left) })
