# Leaves itself in the guest for copy-start, which starts it as a job. The job decides once what to bring back (the plan), then
# brings it back folder by folder with robocopy, with everything that it copies. What is replaced is moved aside first.
if ($JobDir -eq '') {
  Enter-Lock
  Initialize-RunDir
  [IO.File]::WriteAllText($RunDir + '\engine.ps1', $ScriptText, (New-Object Text.UTF8Encoding $true))
  Send-Answer ([ordered]@{})
}
$Robocopy = Join-Path -Path ([Environment]::SystemDirectory) -ChildPath 'robocopy.exe'
$Policy = [string](Get-Needed $In 'conflictPolicy')
$Mounts = @(Read-Mounts $In)
$Totals = @{}

function Add-PlanLine($Plan, [string]$Kind, [int]$Mount, [string]$Action, [string]$Verdict, [long[]]$Numbers, [string]$Name) {
  $Plan.WriteLine((@($Kind, $Mount, $Action, $Verdict) + $Numbers + @($Name)) -join [char]9)
  if ($Verdict -eq 'same' -or $Verdict -eq '') { return }
  if (-not $Totals.ContainsKey($Verdict)) { $Totals[$Verdict] = [pscustomobject]@{ Entries = [long]0; Bytes = [long]0 } }
  $Totals[$Verdict].Entries += 1
  $Totals[$Verdict].Bytes += $Numbers[0]
}
# What robocopy would not bring back as it is, or this script cannot name, is refused before anything is changed.
function Assert-Plain($Entry) {
  $name = $Entry.Name
  if ($Entry.Attributes -band [IO.FileAttributes]::ReparsePoint) {
    Exit-Job 'refused' 'UnsupportedEntry' ('{0} is a link, a junction or kept elsewhere by a filter: only plain files and folders are brought back; name paths without it' -f $Entry.FullName)
  }
  if ($Entry.Attributes -band [IO.FileAttributes]::Encrypted) {
    Exit-Job 'refused' 'UnsupportedEntry' ('{0} is encrypted (EFS), which only its owner can copy: name paths without it' -f $Entry.FullName)
  }
  if ($name -match '[ .]\z' -or $Utf8.GetString($Utf8.GetBytes($name)) -cne $name) {
    Exit-Job 'refused' 'UnsupportedEntry' ('{0} has a name that Windows programs cannot open: name paths without it' -f $Entry.FullName)
  }
}
function Add-File($Plan, [int]$Mount, $File, [string]$Name) {
  Assert-Plain $File
  $target = $Mounts[$Mount].To + '\' + $Name
  $size = $File.Length
  $ticks = $File.LastWriteTimeUtc.Ticks
  if ([IO.Directory]::Exists($target)) {
    Add-PlanLine $Plan 'F' $Mount 'keep' 'directory-in-the-way' @($size, $ticks, 0, 0) $Name
    return
  }
  $live = New-Object IO.FileInfo $target
  if (-not $live.Exists) {
    Add-PlanLine $Plan 'F' $Mount 'copy' 'only-in-B' @($size, $ticks, 0, 0) $Name
    return
  }
  if ($live.Attributes -band [IO.FileAttributes]::ReparsePoint) {
    Exit-Job 'refused' 'UnsupportedEntry' ('{0} is a link now, where the snapshot has a file: see why, and name paths without it' -f $target)
  }
  $liveTicks = $live.LastWriteTimeUtc.Ticks
  $verdict = 'live-is-newer'
  if ($size -eq $live.Length -and $ticks -eq $liveTicks) { $verdict = 'same' }
  elseif ($ticks -gt $liveTicks) { $verdict = 'changed-in-B' }
  $action = 'keep'
  if ($verdict -eq 'same') { $action = 'same' }
  elseif ($Policy -eq 'take-b' -or ($Policy -eq 'newer-wins' -and $verdict -eq 'changed-in-B')) { $action = 'replace' }
  Add-PlanLine $Plan 'F' $Mount $action $verdict @($size, $ticks, $live.Length, $liveTicks) $Name
}
function Add-Folder($Plan, [int]$Mount, $Folder, [string]$Name) {
  Assert-Plain $Folder
  $target = $Mounts[$Mount].To + '\' + $Name
  if ([IO.File]::Exists($target)) {
    Exit-Job 'refused' 'FileInTheWay' ('{0} is a file now, where the snapshot has a folder: move it away, or name paths without it' -f $target)
  }
  if ([IO.Directory]::Exists($target)) {
    if (Test-Link $target) {
      Exit-Job 'refused' 'UnsupportedEntry' ('{0} is a link or junction now, where the snapshot has a folder: nothing is brought back through one' -f $target)
    }
    return
  }
  Add-PlanLine $Plan 'D' $Mount 'create' '' @(0, 0, 0, 0) $Name
}
# Walks one selected path: each folder before what is in it, by name. Keeps no more than the folders still to be walked.
function Add-Path($Plan, [int]$Mount, [string]$Path) {
  $from = $Mounts[$Mount].From
  $parts = @($Path.Split('\'))
  $above = ''
  for ($i = 0; $i -lt $parts.Count - 1; $i++) {
    $above = ($above + '\' + $parts[$i]).TrimStart('\')
    Add-Folder $Plan $Mount (New-Object IO.DirectoryInfo ($from + '\' + $above)) $above
  }
  if ([IO.File]::Exists($from + '\' + $Path)) {
    Add-File $Plan $Mount (New-Object IO.FileInfo ($from + '\' + $Path)) $Path
    return
  }
  $todo = New-Object 'Collections.Generic.Stack[string]'
  $todo.Push($Path)
  while ($todo.Count -gt 0) {
    $name = $todo.Pop()
    $folder = New-Object IO.DirectoryInfo ($from + '\' + $name)
    Add-Folder $Plan $Mount $folder $name
    try { $entries = @($folder.GetFileSystemInfos()) } catch [IO.PathTooLongException] {
      Exit-Job 'refused' 'PathTooLong' ('what is in {0} has names too long for Windows PowerShell: name paths without it' -f $name)
    }
    $entries = @($entries | Sort-Object -Property Name)
    foreach ($entry in $entries) {
      if ($entry -is [IO.FileInfo]) { Add-File $Plan $Mount $entry ($name + '\' + $entry.Name) }
    }
    for ($i = $entries.Count - 1; $i -ge 0; $i--) {
      if ($entries[$i] -is [IO.DirectoryInfo]) { $todo.Push($name + '\' + $entries[$i].Name) }
    }
  }
}
function New-Plan {
  $plan = New-Object IO.StreamWriter ($JobDir + '\plan.new'), $false, $Utf8
  try {
    for ($m = 0; $m -lt $Mounts.Count; $m++) {
      foreach ($path in $Mounts[$m].Paths) { Add-Path $plan $m $path }
    }
  } catch [IO.PathTooLongException] {
    Exit-Job 'refused' 'PathTooLong' 'a name below the paths is too long for Windows PowerShell: name other paths'
  } finally {
    $plan.Close()
  }
  $lines = foreach ($verdict in @($Totals.Keys)) { '{0} {1} {2}' -f $verdict, $Totals[$verdict].Entries, $Totals[$verdict].Bytes }
  Write-Whole ($JobDir + '\totals') (@($lines) -join "`n")
  Move-Item -LiteralPath ($JobDir + '\plan.new') -Destination ($JobDir + '\plan') -Force
}

function Invoke-Robocopy([string]$From, [string]$To, $More) {
  # Of the sparse, hard-linked and the like it makes plain files. 0 to 7 are good ends, 8 and above are failures.
  $arguments = @($From, $To) + @($More) + @('/COPYALL', '/B', '/IS', '/IT', '/XJ', '/R:3', '/W:2', '/NP', '/NJH', '/NJS', '/NFL', '/NDL', ('/UNILOG:' + $JobDir + '\robocopy.log'))
  & $Robocopy $arguments | Out-Null
  if ($LASTEXITCODE -ge 8) {
    Exit-Job 'failed' 'CopyFailed' ('robocopy ended with {0} on {1}: see {2}\robocopy.log in the guest' -f $LASTEXITCODE, $To, $JobDir)
  }
}
# Somebody has written there since the plan was made: theirs stays.
function Test-AsPlanned($Entry) {
  if ([IO.Directory]::Exists($Entry.Target)) { return $false }
  $live = New-Object IO.FileInfo $Entry.Target
  if ($Entry.Action -eq 'copy') { return -not $live.Exists }
  $live.Exists -and $live.Length -eq $Entry.LiveSize -and $live.LastWriteTimeUtc.Ticks -eq $Entry.LiveTicks
}
# One folder's files, at most 100. Begun and not ended: what is there is ours, half of it perhaps, and is copied again.
function Copy-Chunk([long]$Number, $Entries) {
  if ($Done.Contains($Number)) { return }
  if (-not $Begun.Contains($Number)) {
    foreach ($entry in $Entries) {
      if (Test-AsPlanned $entry) { continue }
      $null = $KeptLater.Add($entry.Number)
      [IO.File]::AppendAllText($JobDir + '\kept-later', ('{0}{1}' -f $entry.Number, "`n"), $Utf8)
    }
    [IO.File]::AppendAllText($JobDir + '\journal', ('begun {0}{1}' -f $Number, "`n"), $Utf8)
  }
  $names = @()
  $bytes = [long]0
  foreach ($entry in $Entries) {
    if ($KeptLater.Contains($entry.Number)) { continue }
    $aside = $entry.Mount.To + '\' + $Aside + '\' + $entry.Name
    if ($entry.Action -eq 'replace' -and -not [IO.File]::Exists($aside) -and [IO.File]::Exists($entry.Target)) {
      $null = [IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($aside))
      [IO.File]::Move($entry.Target, $aside)
    }
    $names += [IO.Path]::GetFileName($entry.Name)
    $bytes += $entry.Size
  }
  if ($names.Count -gt 0) {
    # A live folder keeps its own times and attributes.
    Invoke-Robocopy ([IO.Path]::GetDirectoryName($Entries[0].Source)) ([IO.Path]::GetDirectoryName($Entries[0].Target)) ($names + @('/NODCOPY'))
  }
  [IO.File]::AppendAllText($JobDir + '\journal', ('done {0} {1} {2}{3}' -f $Number, $names.Count, $bytes, "`n"), $Utf8)
  $script:FilesDone += $names.Count
  $script:BytesDone += $bytes
  Set-Progress 'copying' $FilesDone $FilesTotal $BytesDone $BytesTotal
}

Enter-Job
Set-Progress 'scanning' 0 0 0 0
if (-not [IO.File]::Exists($JobDir + '\plan')) { New-Plan }
$FilesTotal = [long]0
$BytesTotal = [long]0
$needed = @{}
$n = [long]0
foreach ($line in [IO.File]::ReadLines($JobDir + '\plan', $Utf8)) {
  $entry = Read-PlanLine $line $n
  $n++
  if ($entry.Action -ne 'copy' -and $entry.Action -ne 'replace') { continue }
  $FilesTotal++
  $BytesTotal += $entry.Size
  $needed[$entry.Mount.To] = [long]$needed[$entry.Mount.To] + $entry.Size
}
$Begun = New-Object 'Collections.Generic.HashSet[long]'
$Done = New-Object 'Collections.Generic.HashSet[long]'
$FilesDone = [long]0
$BytesDone = [long]0
if ([IO.File]::Exists($JobDir + '\journal')) {
  foreach ($line in [IO.File]::ReadLines($JobDir + '\journal', $Utf8)) {
    if ($line -match '^begun ([0-9]+)\z') { $null = $Begun.Add([long]$Matches[1]) }
    if ($line -match '^done ([0-9]+) ([0-9]+) ([0-9]+)\z' -and $Done.Add([long]$Matches[1])) {
      $FilesDone += [long]$Matches[2]
      $BytesDone += [long]$Matches[3]
    }
  }
}
foreach ($to in @($needed.Keys)) {
  # What is replaced stays, aside: all that is brought back needs room of its own. Of a volume in a folder robocopy finds out.
  if ($to -notmatch '^[A-Za-z]:\z' -or $Begun.Count -gt 0) { continue }
  $free = (New-Object IO.DriveInfo $to).AvailableFreeSpace
  if ($needed[$to] + 16777216 -gt $free) {
    Exit-Job 'refused' 'NoSpace' ('{0} has {1} bytes free, and up to {2} are needed to bring back {3} files and to keep aside what they replace' -f $to, $free, $needed[$to], $FilesTotal)
  }
}
$KeptLater = Read-KeptLater ($JobDir + '\kept-later')
$chunk = [long]0
$n = [long]0
$gathered = @()
$room = 0
$folder = ''
foreach ($line in [IO.File]::ReadLines($JobDir + '\plan', $Utf8)) {
  $entry = Read-PlanLine $line $n
  $n++
  $isFile = $entry.Action -eq 'copy' -or $entry.Action -eq 'replace'
  $parent = [IO.Path]::GetDirectoryName($entry.Target)
  # A command line has room for 32,767 characters.
  if ($gathered.Count -gt 0 -and (-not $isFile -or $parent -ne $folder -or $gathered.Count -ge 100 -or $room -ge 20000)) {
    Copy-Chunk $chunk $gathered
    $chunk++
    $gathered = @()
    $room = 0
  }
  if ($entry.Kind -eq 'D' -and -not [IO.Directory]::Exists($entry.Target)) {
    Invoke-Robocopy $entry.Source $entry.Target @('/E', '/LEV:1', '/XF', '*', '/DCOPY:DAT')
  }
  if ($isFile) {
    $folder = $parent
    $gathered += $entry
    $room += $entry.Name.Length + 3
  }
}
if ($gathered.Count -gt 0) { Copy-Chunk $chunk $gathered }
Write-Whole ($JobDir + '\copied') ('{0} {1}' -f $FilesDone, $BytesDone)
Set-Progress 'done' $FilesDone $FilesTotal $BytesDone $BytesTotal
Exit-Job 'done' '' ''
