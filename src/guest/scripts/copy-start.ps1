# Starts the copy as a detached job, or finds it running or done. Started again after a crash, it goes on with the same plan.
$policy = [string](Get-Needed $In 'conflictPolicy')
if (@('newer-wins', 'keep-live', 'take-b') -cnotcontains $policy) {
  Deny 'UnsupportedOption' ('the policy {0} is not there for Windows guests: take newer-wins, keep-live or take-b' -f $policy)
}
# What is not known here is refused when it asks for anything: left out, the copy would do something else than was asked for.
$known = @('run', 'bootId', 'mounts', 'conflictPolicy', 'base', 'again', 'deletions')
foreach ($option in $In.PSObject.Properties) {
  if ($known -ccontains $option.Name -or $null -eq $option.Value) { continue }
  if ($option.Value -is [bool] -and -not $option.Value) { continue }
  if ($option.Name -ceq 'openFiles' -and $option.Value -ceq 'ignore') { continue }
  Deny 'UnsupportedOption' ('{0} is not there for Windows guests' -f $option.Name)
}
$null = Get-Needed $In 'mounts'
Enter-Lock
Initialize-RunDir
$engine = $RunDir + '\engine.ps1'
if (-not [IO.File]::Exists($engine)) { Fail 'NoEngine' 'copy-engine has not run in this guest' }
$dir = $RunDir + '\copy'
$null = [IO.Directory]::CreateDirectory($dir)
if (Test-Job 'copy') { Send-Answer ([ordered]@{ alreadyRunning = $true }) }
if ((Read-Line ($dir + '\input') 0) -ceq $InputB64) {
  if ((Read-Line ($dir + '\result') 0) -eq 'done') { Send-Answer ([ordered]@{ alreadyRunning = $true }) }
} else {
  [IO.Directory]::Delete($dir, $true)
  $null = [IO.Directory]::CreateDirectory($dir)
  [IO.File]::WriteAllText($dir + '\input', $InputB64, $Utf8)
}
Start-DetachedJob 'copy' $engine
# A refusal of the plan is answered here when it comes soon; else copy-status has it.
for ($try = 0; $try -lt 30; $try++) {
  if ((Read-Line ($dir + '\result') 0) -eq 'refused') { Deny (Read-Line ($dir + '\result') 1) (Read-Line ($dir + '\result') 2) }
  if ([IO.File]::Exists($dir + '\plan') -or [IO.File]::Exists($dir + '\result')) { break }
  Start-Sleep -Milliseconds 400
}
Send-Answer ([ordered]@{ alreadyRunning = $false })
