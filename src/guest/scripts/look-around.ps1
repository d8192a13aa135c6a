# What the guest is, and what it has of the disk: for the plan, before anything is changed. Reads only.
$serial = [string](Get-Needed $In 'originalSerial')
$missing = @()
foreach ($tool in @('Get-Disk', 'Get-PhysicalDisk', 'Get-Partition', 'Set-Disk', 'Add-PartitionAccessPath', 'Get-FileHash')) {
  if ($null -eq (Get-Command -Name $tool -ErrorAction SilentlyContinue)) { $missing += $tool }
}
$robocopy = Join-Path -Path ([Environment]::SystemDirectory) -ChildPath 'robocopy.exe'
if (-not [IO.File]::Exists($robocopy)) { $missing += 'robocopy.exe' }
if ([Environment]::Is64BitOperatingSystem -and -not [Environment]::Is64BitProcess) { $missing += 'a 64-bit PowerShell' }
$system = Get-CimInstance -ClassName Win32_OperatingSystem
$systems = @()
$stacks = @()
if ($missing -notcontains 'Get-Disk') {
  $disk = Get-TheDisk 'original' $serial 0 0
  $layers = @{}
  foreach ($partition in (Get-PartitionsOf $disk.Number)) {
    $layer = Get-Layer $partition
    if ($layer -ne '') { $layers[$layer] = $true }
    $places = @(Get-Places $partition)
    $volume = Get-VolumeOf $partition
    if ($places.Count -eq 0 -or $null -eq $volume -or $systems.Count -ge 20) { continue }
    $systems += [ordered]@{
      at = $places[0]
      type = $volume.Type
      readOnly = [bool]$partition.IsReadOnly
      sizeBytes = $volume.Size
      freeBytes = $volume.Free
      inodes = 0
      freeInodes = 0
      # Windows keeps letters and folders of a volume over a boot.
      atBoot = $true
    }
  }
  # Whether other disks belong to it is not to be told from one of them.
  foreach ($layer in $layers.Keys) { $stacks += [ordered]@{ kind = $layer; name = ''; withOthers = $null } }
}
$free = (New-Object IO.DriveInfo ([IO.Path]::GetPathRoot($Base))).AvailableFreeSpace
Send-Answer ([ordered]@{
  kernel = 'Windows'
  os = ('{0} {1}' -f $system.Caption, $system.Version).Trim()
  bash = ''
  powershell = ('{0}.{1}' -f $PSVersionTable.PSVersion.Major, $PSVersionTable.PSVersion.Minor)
  missingTools = @($missing)
  canFreeze = $false
  stateFreeBytes = $free
  fileSystems = @($systems)
  stacks = @($stacks)
  hookProblems = @()
})
