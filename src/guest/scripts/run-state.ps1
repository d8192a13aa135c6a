# What the run has in the guest: its mounts, and what its verification has come to. Reads only.
$mounts = @()
foreach ($partition in @(Get-Partition -ErrorAction SilentlyContinue)) {
  foreach ($place in (Get-Places $partition)) {
    if ($place.StartsWith($RunDir + '\mnt\', [StringComparison]::OrdinalIgnoreCase)) { $mounts += $place.TrimEnd('\') }
  }
}
$verification = 'none'
$verified = $false
if (Test-Job 'verify') { $verification = 'running' }
elseif ([IO.Directory]::Exists($RunDir + '\verify')) {
  $verification = 'failed'
  $verdict = Read-Line (Get-JobFile 'verify' 'verdict') 0
  if ((Read-Line (Get-JobFile 'verify' 'result') 0) -eq 'done' -and $verdict -ne '') {
    $verification = 'ended'
    $verified = [bool](ConvertFrom-Json -InputObject $verdict).verified
  }
}
Send-Answer ([ordered]@{ mounts = @($mounts); verification = $verification; verified = $verified })
