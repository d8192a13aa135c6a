# Reads where a detached job is; changes nothing. Without a job named, the verification when it was started, else the copy.
# A job at work is given waitSeconds to end first.
$job = [string](Get-Field $In 'job' '')
if ($job -eq '') {
  $job = 'copy'
  if ([IO.Directory]::Exists($RunDir + '\verify')) { $job = 'verify' }
}
if (@('copy', 'verify') -cnotcontains $job) { Deny 'InvalidInput' ('unknown job {0}' -f $job) }
if (-not [IO.Directory]::Exists($RunDir + '\' + $job)) { Fail 'NotStarted' ('no {0} of the run {1} was started in this guest since its last boot' -f $job, $Run) }
$end = (Get-Date).AddSeconds([int](Get-Field $In 'waitSeconds' 0))
while ((Test-Job $job) -and (Get-Date) -lt $end) { Start-Sleep -Milliseconds 500 }
# Alive first, then the result: a job that ends in between is then seen with its result.
$state = 'lost'
$message = 'the process of the {0} job is gone' -f $job
if (Test-Job $job) {
  $state = 'running'
  $message = ''
}
$result = Get-JobFile $job 'result'
if ([IO.File]::Exists($result)) {
  $state = Read-Line $result 0
  $message = Read-Line $result 2
  if ($state -eq 'refused') { Deny (Read-Line $result 1) $message }
}
$cells = @('scanning', 0, 0, 0, 0)
if ((Read-Line (Get-JobFile $job 'progress') 0) -match '^([a-z]+) ([0-9]+) ([0-9]+) ([0-9]+) ([0-9]+)\z') {
  $cells = @($Matches[1], [long]$Matches[2], [long]$Matches[3], [long]$Matches[4], [long]$Matches[5])
}
Send-Answer ([ordered]@{
  state = $state
  stage = $cells[0]
  filesDone = $cells[1]
  filesTotal = $cells[2]
  bytesDone = $cells[3]
  bytesTotal = $cells[4]
  message = $message
})
