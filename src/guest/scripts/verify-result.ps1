# The verdict of a verification that has ended.
$dir = $RunDir + '\verify'
if (-not [IO.Directory]::Exists($dir)) { Fail 'NotStarted' ('no verification of the run {0} was started in this guest since its last boot' -f $Run) }
$state = Read-Line ($dir + '\result') 0
if ($state -eq '') { Fail 'NotEnded' 'the verification has not ended' }
if ($state -ne 'done') { Fail 'NotEnded' ('the verification ended as {0}: {1}' -f $state, (Read-Line ($dir + '\result') 2)) }
Send-Answer (ConvertFrom-Json -InputObject (Read-Line ($dir + '\verdict') 0))
