# Starts the verification as a detached job, or finds it running or done: every selected entry of the recovery disk against what
# is live: type, size, time, attributes, owner, the access rules that it does not inherit, and the SHA-256 of its content.
if ($JobDir -eq '') {
  Enter-Lock
  Initialize-RunDir
  if ((Read-Line ($RunDir + '\copy\result') 0) -ne 'done') { Deny 'NotCopied' ('the copy of the run {0} has not ended in this guest since its last boot' -f $Run) }
  $dir = $RunDir + '\verify'
  if (Test-Job 'verify') { Send-Answer ([ordered]@{ alreadyRunning = $true }) }
  if ((Read-Line ($dir + '\result') 0) -eq 'done') { Send-Answer ([ordered]@{ alreadyRunning = $true }) }
  if ([IO.Directory]::Exists($dir)) { [IO.Directory]::Delete($dir, $true) }
  $null = [IO.Directory]::CreateDirectory($dir)
  [IO.File]::WriteAllText($dir + '\verify.ps1', $ScriptText, (New-Object Text.UTF8Encoding $true))
  Start-DetachedJob 'verify' ($dir + '\verify.ps1')
  Send-Answer ([ordered]@{ alreadyRunning = $false })
}

# What of the access rules is the entry's own. What it inherits is its folder's.
function Get-OwnRules([string]$Path) {
  $acl = Get-Acl -LiteralPath $Path
  $rules = foreach ($rule in $acl.GetAccessRules($true, $false, [Security.Principal.SecurityIdentifier])) {
    '{0} {1} {2} {3} {4}' -f $rule.IdentityReference.Value, [int]$rule.FileSystemRights, [int]$rule.AccessControlType, [int]$rule.InheritanceFlags, [int]$rule.PropagationFlags
  }
  $owner = $acl.GetOwner([Security.Principal.SecurityIdentifier]).Value
  (@($owner, $acl.AreAccessRulesProtected) + @($rules | Sort-Object)) -join '|'
}
function Get-Hash([string]$Path) { (Get-FileHash -LiteralPath $Path -Algorithm SHA256).Hash.ToLowerInvariant() }
$Compared = [IO.FileAttributes]::ReadOnly -bor [IO.FileAttributes]::Hidden -bor [IO.FileAttributes]::System
# What differs, or nothing. $script:Hash: of the content on the recovery disk.
function Get-Difference($Entry) {
  if ($Entry.Kind -eq 'D') {
    if (-not [IO.Directory]::Exists($Entry.Target)) { return 'missing' }
    if ((Get-OwnRules $Entry.Source) -cne (Get-OwnRules $Entry.Target)) { return 'access rules' }
    return ''
  }
  $script:Hash = Get-Hash $Entry.Source
  $live = New-Object IO.FileInfo $Entry.Target
  if (-not $live.Exists) { return 'missing' }
  $source = New-Object IO.FileInfo $Entry.Source
  if ($live.Length -ne $source.Length -or $live.LastWriteTimeUtc.Ticks -ne $source.LastWriteTimeUtc.Ticks) { return 'size or time' }
  if (($live.Attributes -band $Compared) -ne ($source.Attributes -band $Compared)) { return 'attributes' }
  if ((Get-Hash $Entry.Target) -cne $script:Hash) { return 'content' }
  if ((Get-OwnRules $Entry.Source) -cne (Get-OwnRules $Entry.Target)) { return 'access rules' }
  ''
}

Enter-Job
Set-Progress 'scanning' 0 0 0 0
$copy = $RunDir + '\copy'
$Mounts = @(Read-Mounts (ConvertFrom-Json -InputObject ($Utf8.GetString([Convert]::FromBase64String((Read-Line ($copy + '\input') 0))))))
$KeptLater = Read-KeptLater ($copy + '\kept-later')
$selected = [long]0
$selectedBytes = [long]0
$kept = [long]0
$keptBytes = [long]0
$total = [long]0
$totalBytes = [long]0
$n = [long]0
foreach ($line in [IO.File]::ReadLines($copy + '\plan', $Utf8)) {
  $entry = Read-PlanLine $line $n
  if ($entry.Kind -eq 'F') {
    $selected++
    $selectedBytes += $entry.Size
    if ($entry.Action -eq 'keep' -or $KeptLater.Contains($n)) {
      $kept++
      $keptBytes += $entry.Size
    } else {
      $total++
      $totalBytes += $entry.Size
    }
  }
  $n++
}
$manifest = New-Object IO.StreamWriter ($JobDir + '\manifest'), $false, $Utf8
$different = New-Object IO.StreamWriter ($JobDir + '\different'), $false, $Utf8
$shown = @()
$wrong = [long]0
$seen = [long]0
$seenBytes = [long]0
$last = Get-Date
$n = [long]0
foreach ($line in [IO.File]::ReadLines($copy + '\plan', $Utf8)) {
  $entry = Read-PlanLine $line $n
  $isKept = $entry.Action -eq 'keep' -or $KeptLater.Contains($n)
  $n++
  $script:Hash = '-'
  if (-not $isKept) {
    try { $why = Get-Difference $entry } catch { $why = 'cannot be read' }
    if ($why -ne '') {
      $wrong++
      $different.WriteLine($entry.Target + [char]9 + $why)
      if ($shown.Count -lt 50) { $shown += $entry.Target }
    }
    if ($entry.Kind -eq 'F') {
      $seen++
      $seenBytes += $entry.Size
    }
  }
  $manifest.WriteLine((@($entry.Name, $entry.Kind, $entry.Size, $entry.Ticks, $script:Hash) -join [char]9))
  if (((Get-Date) - $last).TotalSeconds -ge 1) {
    Set-Progress 'verifying' $seen $total $seenBytes $totalBytes
    $last = Get-Date
  }
}
$manifest.Close()
$different.Close()
$verdicts = [ordered]@{}
foreach ($line in [IO.File]::ReadAllLines($copy + '\totals', $Utf8)) {
  if ($line -match '^([A-Za-z-]+) ([0-9]+) ([0-9]+)\z') { $verdicts[$Matches[1]] = [ordered]@{ entries = [long]$Matches[2]; bytes = [long]$Matches[3] } }
}
$asides = @()
foreach ($mount in $Mounts) {
  $folder = $mount.To + '\' + $Aside
  if ([IO.Directory]::Exists($folder)) {
    $asides += [ordered]@{ folder = $folder; files = @([IO.Directory]::EnumerateFiles($folder, '*', [IO.SearchOption]::AllDirectories)).Count }
  }
}
$copied = @((Read-Line ($copy + '\copied') 0).Split(' '))
Write-Whole ($JobDir + '\verdict') (ConvertTo-Line ([ordered]@{
  filesSelected = $selected
  bytesSelected = $selectedBytes
  filesCopied = [long]$copied[0]
  bytesCopied = [long]$copied[1]
  filesKeptLive = $kept
  bytesKeptLive = $keptBytes
  verified = ($wrong -eq 0)
  # Alternate streams and the system access list are brought back and not compared.
  xattrsCompared = $false
  digest = Get-Hash ($JobDir + '\manifest')
  mismatches = @($shown)
  mismatchCount = $wrong
  aside = @($asides)
  verdicts = $verdicts
}))
Set-Progress 'done' $total $total $totalBytes $totalBytes
Exit-Job 'done' '' ''
