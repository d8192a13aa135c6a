# Brings the recovery disk online with an identity of its own, shows each partition in a folder of the run and nowhere else,
# and makes the disk read-only then. Not before: only a volume that may be written replays its journal, without which the
# newest writes would be missing. The disk is a throwaway copy.
$systems = @(Get-Needed $In 'fileSystems')
Enter-Lock
Initialize-RunDir
$mounts = Join-Path -Path $RunDir -ChildPath 'mnt'
$shown = @()
$disks = @{}
$used = @{}
function Undo([string]$Code, [string]$Message) {
  foreach ($item in $shown) {
    Remove-PartitionAccessPath -DiskNumber $item.Disk -PartitionNumber $item.Partition -AccessPath $item.At -ErrorAction SilentlyContinue
  }
  foreach ($number in $disks.Keys) { Set-Disk -Number $number -IsOffline $true -ErrorAction SilentlyContinue }
  Deny $Code $Message
}
# The copy has the signature or GUID of the original, and Windows keeps it offline for that. Windows gives new ones when it is
# brought online; where it did not, this does.
function Initialize-Copy($Disk) {
  if ([bool]$Disk.IsBoot -or [bool]$Disk.IsSystem) { Deny 'DeviceAmbiguous' ('disk {0} is the one that this guest has booted from' -f $Disk.Number) }
  # A new identity can only be written to a disk that may be written; most attributes can be set online only. So both ways.
  if ([bool]$Disk.IsReadOnly) { Set-Disk -Number $Disk.Number -IsReadOnly $false -ErrorAction SilentlyContinue }
  if ([bool]$Disk.IsOffline) { Set-Disk -Number $Disk.Number -IsOffline $false }
  if ([bool](Get-Disk -Number $Disk.Number).IsReadOnly) { Set-Disk -Number $Disk.Number -IsReadOnly $false }
  for ($try = 0; $try -lt 20 -and @(Get-PartitionsOf $Disk.Number).Count -eq 0; $try++) {
    Start-Sleep -Milliseconds 500
    Update-HostStorageCache
  }
  $now = Get-Disk -Number $Disk.Number
  foreach ($other in @(Get-Disk)) {
    if ($other.Number -eq $now.Number -or [string]$other.PartitionStyle -ne [string]$now.PartitionStyle) { continue }
    if ([string]$now.PartitionStyle -eq 'GPT' -and [string]$other.Guid -eq [string]$now.Guid) {
      Set-Disk -Number $now.Number -Guid ('{' + [guid]::NewGuid().ToString() + '}')
    }
    if ([string]$now.PartitionStyle -eq 'MBR' -and [string]$other.Signature -eq [string]$now.Signature) {
      Set-Disk -Number $now.Number -Signature ([uint32](Get-Random -Minimum 1 -Maximum 2147483647))
    }
  }
  # Windows may have given letters by itself: a program could take the copy for a disk of its own.
  foreach ($partition in (Get-PartitionsOf $now.Number)) {
    foreach ($place in (Get-Places $partition)) {
      if (-not $place.StartsWith($mounts + '\', [StringComparison]::OrdinalIgnoreCase)) {
        Remove-PartitionAccessPath -DiskNumber $now.Number -PartitionNumber $partition.PartitionNumber -AccessPath $place
      }
    }
    if ([string]$now.PartitionStyle -eq 'GPT' -and [string]$partition.Type -eq 'Basic') {
      Set-Partition -DiskNumber $now.Number -PartitionNumber $partition.PartitionNumber -NoDefaultDriveLetter $true
    }
  }
}
$out = @()
foreach ($pair in $systems) {
  $device = [string](Get-Needed $pair 'recoveryDevice')
  if ($device -cnotmatch '^serial:([A-Za-z0-9_-]{1,64})/partition:([0-9]{1,3})\z') { Undo 'InvalidInput' ('{0} is no device of a recovery disk' -f $device) }
  $serial = $Matches[1]
  $number = [int]$Matches[2]
  $place = [string](Get-Needed $pair 'originalMount')
  $disk = Get-TheDisk 'recovery' $serial 0 20
  $used[[int]$disk.Number] = $true
  $at = Join-Path -Path $mounts -ChildPath ('p{0}' -f $number)
  $original = $null
  foreach ($candidate in @(Get-Partition -ErrorAction SilentlyContinue)) {
    if (@(Get-Places $candidate | Where-Object { $_.TrimEnd('\') -eq $place.TrimEnd('\') }).Count -gt 0) { $original = $candidate }
  }
  if ($null -eq $original -or [int]$original.DiskNumber -eq [int]$disk.Number) {
    Undo 'OriginalDisplaced' ('{0} is not on the original disk any more: see in Disk Management which disk has it, then try again' -f $place)
  }
  $mounted = $false
  foreach ($partition in (Get-PartitionsOf $disk.Number)) {
    if (@(Get-Places $partition | Where-Object { $_.TrimEnd('\') -eq $at }).Count -gt 0) {
      if ([int]$partition.PartitionNumber -ne $number) { Undo 'RecoveryDiskMounted' ('{0} shows partition {1}' -f $at, $partition.PartitionNumber) }
      $mounted = $true
    }
  }
  if (-not $mounted) {
    if (-not $disks.ContainsKey([int]$disk.Number)) {
      $disks[[int]$disk.Number] = $true
      Initialize-Copy $disk
    }
    $copy = @(Get-PartitionsOf $disk.Number | Where-Object { [int]$_.PartitionNumber -eq $number })
    if ($copy.Count -eq 0) { Undo 'LayoutMismatch' ('the recovery disk has no partition {0}, where the original has {1}' -f $number, $place) }
    if ([long]$copy[0].Offset -ne [long]$original.Offset) {
      Undo 'LayoutMismatch' ('partition {0}: the original begins at byte {1}, the recovery disk at byte {2}' -f $number, $original.Offset, $copy[0].Offset)
    }
    $null = [IO.Directory]::CreateDirectory($at)
    Add-PartitionAccessPath -DiskNumber $disk.Number -PartitionNumber $number -AccessPath $at
    $shown += [pscustomobject]@{ Disk = [int]$disk.Number; Partition = $number; At = $at }
    # The first look mounts the volume, which replays its journal.
    $null = @([IO.Directory]::GetFileSystemEntries($at))
    $volume = $null
    for ($try = 0; $try -lt 20 -and $null -eq $volume; $try++) {
      if ($try -gt 0) { Start-Sleep -Milliseconds 500 }
      $volume = Get-VolumeOf (Get-Partition -DiskNumber $disk.Number -PartitionNumber $number)
    }
    $serialThere = ''
    if ($null -ne $volume) { $serialThere = $volume.Type + ' ' + $volume.Serial }
    $wanted = [string](Get-Needed $pair 'fsType') + ' ' + [string](Get-Needed $pair 'fsUuid')
    if ($serialThere -ne $wanted) { Undo 'LayoutMismatch' ('partition {0} of the recovery disk holds {1}, and {2} is at {3}' -f $number, $serialThere, $wanted, $place) }
  }
  $out += [ordered]@{
    partition = $number
    fsType = [string]$pair.fsType
    fsUuid = [string]$pair.fsUuid
    recoveryDevice = $device
    originalMount = $place
    paths = @(Get-Needed $pair 'paths')
    recoveryMount = $at
  }
}
foreach ($number in @($used.Keys)) {
  if (-not [bool](Get-Disk -Number $number).IsReadOnly) { Set-Disk -Number $number -IsReadOnly $true }
}
foreach ($item in $out) {
  for ($try = 0; $try -lt 20 -and @(Get-ChildItem -LiteralPath $item.recoveryMount -Force -ErrorAction SilentlyContinue).Count -eq 0; $try++) { Start-Sleep -Milliseconds 500 }
  foreach ($path in $item.paths) {
    $there = $item.recoveryMount + '\' + $path
    $link = Get-LinkOnWay $item.recoveryMount $path
    if ($link -ne '') { Undo 'PathThroughSymlink' ('{0}{1} goes through a link or junction on the recovery disk' -f $item.originalMount, $path) }
    if (-not [IO.File]::Exists($there) -and -not [IO.Directory]::Exists($there)) {
      Undo 'PathNotFound' ('{0}{1} is not in the snapshot: nothing of that name is on the recovery disk' -f $item.originalMount, $path)
    }
  }
}
Send-Answer ([ordered]@{ mounts = @($out) })
