# Detached jobs: processes that WMI starts, so that neither the end of the script nor that of the agent ends them. State in files
# below the run's folder. A job is known by process id and start time, so that a reused id is not taken for it.
function Get-JobFile([string]$Job, [string]$Name) { $RunDir + '\' + $Job + '\' + $Name }
function Test-Job([string]$Job) {
  if ((Read-Line (Get-JobFile $Job 'pid') 0) -notmatch '^([0-9]+) ([0-9]+)\z') { return $false }
  $id = [int]$Matches[1]
  $since = $Matches[2]
  $process = Get-Process -Id $id -ErrorAction SilentlyContinue
  if ($null -eq $process) { return $false }
  $process.StartTime.ToUniversalTime().Ticks.ToString() -eq $since
}
# Starts the script file $Script as the job, which finds in $JobDir that it is one.
function Start-DetachedJob([string]$Job, [string]$Script) {
  $dir = $RunDir + '\' + $Job
  foreach ($name in @('pid', 'result')) {
    if ([IO.File]::Exists($dir + '\' + $name)) { [IO.File]::Delete($dir + '\' + $name) }
  }
  $quote = { param($text) "'" + $text.Replace("'", "''") + "'" }
  $first = '$JobDir = {0}; $InputB64 = {1}; . {2}' -f (& $quote $dir), (& $quote $InputB64), (& $quote $Script)
  # With a mark: without one it would be read in the code page of the machine.
  [IO.File]::WriteAllText($dir + '\job.ps1', $first, (New-Object Text.UTF8Encoding $true))
  $shell = Join-Path -Path $PSHOME -ChildPath 'powershell.exe'
  $command = '"{0}" -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -File "{1}\job.ps1"' -f $shell, $dir
  $made = Invoke-CimMethod -ClassName Win32_Process -MethodName Create -Arguments @{ CommandLine = $command; CurrentDirectory = $dir }
  if ([int]$made.ReturnValue -ne 0) { Fail 'GuestError' ('the detached {0} job did not start: Windows says {1}' -f $Job, $made.ReturnValue) }
  for ($try = 0; $try -lt 100; $try++) {
    if ([IO.File]::Exists($dir + '\pid')) { return }
    Start-Sleep -Milliseconds 300
  }
  Fail 'GuestError' ('the detached {0} job did not start' -f $Job)
}
# In the job.
function Enter-Job {
  $self = [Diagnostics.Process]::GetCurrentProcess()
  $self.PriorityClass = [Diagnostics.ProcessPriorityClass]::BelowNormal
  Write-Whole ($JobDir + '\pid') ('{0} {1}' -f $self.Id, $self.StartTime.ToUniversalTime().Ticks)
}
function Set-Progress([string]$Stage, [long]$Files, [long]$FilesTotal, [long]$Bytes, [long]$BytesTotal) {
  Write-Whole ($JobDir + '\progress') ('{0} {1} {2} {3} {4}' -f $Stage, $Files, $FilesTotal, $Bytes, $BytesTotal)
}
