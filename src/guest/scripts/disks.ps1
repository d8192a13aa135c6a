# Which disk is whose, and which partition a path is on: for look-around, check-paths, find-device, mount, unmount and grow.

# The disks with the serial number, as the disk or its driver tells it. virtio cuts it at 20 characters.
function Find-Disk([string]$Serial) {
  $short = $Serial.Substring(0, [Math]::Min(20, $Serial.Length))
  $physical = @{}
  foreach ($device in @(Get-PhysicalDisk)) {
    $physical[[string]$device.DeviceId] = @([string](Get-Field $device 'SerialNumber' ''), [string](Get-Field $device 'AdapterSerialNumber' ''))
  }
  foreach ($disk in @(Get-Disk)) {
    $names = @([string](Get-Field $disk 'SerialNumber' ''))
    if ($physical.ContainsKey([string]$disk.Number)) { $names += $physical[[string]$disk.Number] }
    foreach ($name in $names) {
      $name = $name.Trim()
      if ($name -ne '' -and ($name -eq $Serial -or $name -eq $short)) {
        $disk
        break
      }
    }
  }
}
# The one disk with the serial number, waited for. $Size in bytes; 0: whatever it has.
function Get-TheDisk([string]$What, [string]$Serial, [long]$Size, [int]$WaitSeconds) {
  if ($Serial -eq '') { Deny 'DeviceAmbiguous' ('the {0} disk has no serial number to find it by' -f $What) }
  $end = (Get-Date).AddSeconds($WaitSeconds)
  while ($true) {
    $found = @(Find-Disk $Serial)
    if ($found.Count -gt 0 -or (Get-Date) -ge $end) { break }
    Start-Sleep -Milliseconds 500
    Update-HostStorageCache
  }
  if ($found.Count -eq 0) { Fail 'DeviceNotFound' ('no disk with the serial {0} ({1} disk) in the guest after {2} s' -f $Serial, $What, $WaitSeconds) }
  if ($found.Count -gt 1) {
    Deny 'DeviceAmbiguous' ('{0} disks have the serial {1} of the {2} disk: {3}' -f $found.Count, $Serial, $What, (@($found | ForEach-Object { $_.Number }) -join ', '))
  }
  if ($Size -ne 0 -and [long]$found[0].Size -ne $Size) {
    Deny 'DeviceSizeWrong' ('the {0} disk {1} (disk {2}) has {3} bytes where {4} were expected' -f $What, $Serial, $found[0].Number, $found[0].Size, $Size)
  }
  $found[0]
}
function Get-PartitionsOf([int]$Number) {
  @(Get-Partition -ErrorAction SilentlyContinue | Where-Object { $_.DiskNumber -eq $Number } | Sort-Object -Property Offset)
}
# Where a partition is to be seen: letters and folders, without the names that only Windows uses.
function Get-Places($Partition) {
  @(@(Get-Field $Partition 'AccessPaths' @()) | Where-Object { $_ -and -not $_.StartsWith('\\?\') })
}
# What is on a partition: type of file system, serial number of the volume, bytes. Nothing for what Windows does not know.
function Get-VolumeOf($Partition) {
  foreach ($path in @(Get-Field $Partition 'AccessPaths' @())) {
    if (-not $path -or -not $path.StartsWith('\\?\')) { continue }
    foreach ($volume in @(Get-CimInstance -ClassName Win32_Volume)) {
      if ($volume.DeviceID -eq $path) {
        return [pscustomobject]@{
          Type = [string]$volume.FileSystem
          Serial = ('{0:x8}' -f [long](Get-Field $volume 'SerialNumber' 0))
          Size = [long](Get-Field $volume 'Capacity' 0)
          Free = [long](Get-Field $volume 'FreeSpace' 0)
        }
      }
    }
  }
}
# Dynamic disks and storage spaces, which one copied disk may not make whole.
function Get-Layer($Partition) {
  switch ([string](Get-Field $Partition 'GptType' '')) {
    '{5808c8aa-7e8f-42e0-85d2-e1e90434cfb3}' { return 'dynamic disk' }
    '{af9b60a0-1431-4f62-bc68-3311714a69ad}' { return 'dynamic disk' }
    '{e75caf8f-f680-4cee-afa3-b001e56efc2d}' { return 'storage space' }
  }
  if ([int](Get-Field $Partition 'MbrType' 0) -eq 66) { return 'dynamic disk' }
  ''
}
# What protects a place with a key: a copy of it would be locked.
function Test-Encrypted([string]$Place) {
  $volumes = @(Get-CimInstance -Namespace 'root\cimv2\Security\MicrosoftVolumeEncryption' -ClassName Win32_EncryptableVolume -ErrorAction SilentlyContinue)
  foreach ($volume in $volumes) {
    if ([string]$volume.DriveLetter -ne '' -and $Place.StartsWith($volume.DriveLetter, [StringComparison]::OrdinalIgnoreCase) -and [int]$volume.ProtectionStatus -ne 0) { return $true }
  }
  $false
}

$OtherWay = 'Take the way over a helper instance: roll back without paths, make a disk from snapshot B, attach it to another instance, open it there and copy what you need over the network'

# Backslashes only, none twice, none at the end but of a drive's root.
function Get-PlainPath([string]$Path) {
  $plain = $Path.Replace('/', '\')
  while ($plain.Contains('\\')) { $plain = $plain.Replace('\\', '\') }
  if ($plain.Length -gt 3) { $plain = $plain.TrimEnd('\') }
  $plain
}
# The first folder on the way from the place to the path, both left out, that is a link, or nothing.
function Get-LinkOnWay([string]$Place, [string]$Relative) {
  $at = $Place.TrimEnd('\')
  $parts = @($Relative.Split('\'))
  for ($i = 0; $i -lt $parts.Count - 1; $i++) {
    $at = $at + '\' + $parts[$i]
    if ([IO.Directory]::Exists($at) -and (Test-Link $at)) { return $at }
  }
  ''
}
# Where a path is: Partition, Place, Relative, Volume, Exists; or Code and Message when it is on no usable partition of the disk.
function Find-Place([string]$Path, [int]$OriginalNumber, $Partitions) {
  $no = { param($code, $message) [pscustomobject]@{ Code = $code; Message = $message } }
  $plain = Get-PlainPath $Path
  if ($plain -notmatch '^[A-Za-z]:\\.' -or ($plain + '\') -match '\\\.{1,2}\\') {
    return & $no 'InvalidInput' ('{0} is not a plain absolute path' -f $Path)
  }
  $best = ''
  $on = $null
  foreach ($partition in $Partitions) {
    foreach ($place in (Get-Places $partition)) {
      $from = $place.TrimEnd('\') + '\'
      if (($plain + '\').StartsWith($from, [StringComparison]::OrdinalIgnoreCase) -and $from.Length -gt $best.Length) {
        $best = $from
        $on = $partition
      }
    }
  }
  if ($null -eq $on) { return & $no 'PathNotOnDisk' ('{0} is on no volume that Windows shows' -f $Path) }
  if ([int]$on.DiskNumber -ne $OriginalNumber) {
    return & $no 'PathNotOnDisk' ('{0} is not on the original disk {1} but on disk {2}, seen at {3}' -f $Path, $OriginalNumber, $on.DiskNumber, $best)
  }
  $relative = ''
  if ($plain.Length -gt $best.Length) { $relative = $plain.Substring($best.Length) }
  if ($relative -eq '') { return & $no 'InvalidInput' ('{0} is the root of a volume: name what of it is to be brought back' -f $Path) }
  $link = Get-LinkOnWay $best $relative
  if ($link -ne '') { return & $no 'PathThroughSymlink' ('{0} goes through {1}, a link or junction: name the real path' -f $Path, $link) }
  $layer = Get-Layer $on
  if ($layer -ne '') { return & $no 'UnsupportedLayout' ('{0} is on a {1}, which is not supported. {2}' -f $Path, $layer, $OtherWay) }
  if (Test-Encrypted $best) { return & $no 'UnsupportedLayout' ('{0} is on a volume that BitLocker protects, whose copy is locked. {1}' -f $Path, $OtherWay) }
  $volume = Get-VolumeOf $on
  if ($null -eq $volume -or $volume.Type -ne 'NTFS') {
    $type = 'unknown'
    if ($null -ne $volume) { $type = $volume.Type }
    return & $no 'UnsupportedLayout' ('{0} is on a volume of type {1}: only NTFS is supported. {2}' -f $Path, $type, $OtherWay)
  }
  if ([bool]$on.IsReadOnly) { return & $no 'OriginalReadOnly' ('{0}: the volume at {1} is read-only' -f $Path, $best) }
  [pscustomobject]@{
    Code = ''
    Partition = $on
    Place = $best
    Relative = $relative
    Volume = $volume
    Exists = ([IO.File]::Exists($plain) -or [IO.Directory]::Exists($plain))
  }
}
