# Finds the original and the recovery disk by serial, and for each selected path the pair of partitions. Changes nothing.
$wait = [int](Get-Needed $In 'waitSeconds')
$originalSerial = [string](Get-Needed $In 'originalSerial')
$recoverySerial = [string](Get-Needed $In 'recoverySerial')
$original = Get-TheDisk 'original' $originalSerial ([long](Get-Needed $In 'originalSizeBytes')) $wait
$recovery = Get-TheDisk 'recovery' $recoverySerial ([long](Get-Needed $In 'recoverySizeBytes')) $wait
if ($original.Number -eq $recovery.Number) { Deny 'DeviceAmbiguous' ('one and the same disk, {0}, has both serials' -f $original.Number) }
$partitions = @(Get-Partition -ErrorAction SilentlyContinue)
$copies = @(Get-PartitionsOf $recovery.Number)
foreach ($copy in $copies) {
  foreach ($place in (Get-Places $copy)) {
    foreach ($path in @(Get-Needed $In 'paths')) {
      if (((Get-PlainPath $path) + '\').StartsWith($place.TrimEnd('\') + '\', [StringComparison]::OrdinalIgnoreCase)) {
        Deny 'OriginalDisplaced' ('the recovery disk is seen at {0}, in place of the original: what was written there since is on the recovery disk only; stop what writes there, save it, give the place back to the original in Disk Management, then try again' -f $place)
      }
    }
  }
}
$pairs = [ordered]@{}
foreach ($path in @(Get-Needed $In 'paths')) {
  $found = Find-Place $path $original.Number $partitions
  if ($found.Code -ne '') { Deny $found.Code $found.Message }
  $number = [string]$found.Partition.PartitionNumber
  if (-not $pairs.Contains($number)) {
    # A disk that is offline may not show its partitions yet: mount compares again.
    if ($copies.Count -gt 0) {
      $twin = @($copies | Where-Object { $_.PartitionNumber -eq $found.Partition.PartitionNumber })
      if ($twin.Count -eq 0) { Deny 'LayoutMismatch' ('the recovery disk has no partition {0}, where the original has {1}' -f $number, $found.Place) }
      if ([long]$twin[0].Offset -ne [long]$found.Partition.Offset) {
        Deny 'LayoutMismatch' ('partition {0}: the original begins at byte {1}, the recovery disk at byte {2}' -f $number, $found.Partition.Offset, $twin[0].Offset)
      }
    }
    $pairs[$number] = [ordered]@{
      partition = [int]$number
      fsType = 'NTFS'
      fsUuid = $found.Volume.Serial
      recoveryDevice = 'serial:{0}/partition:{1}' -f $recoverySerial, $number
      originalMount = $found.Place
      paths = @()
    }
  }
  $pairs[$number].paths = @($pairs[$number].paths) + @($found.Relative)
}
Send-Answer ([ordered]@{
  bootId = Get-BootId
  originalDevice = 'disk {0} ({1})' -f $original.Number, $originalSerial
  recoveryDevice = 'disk {0} ({1})' -f $recovery.Number, $recoverySerial
  fileSystems = @($pairs.Values)
})
