# The verdict of a verification that has ended.
$dir = $RunDir + '\verify'
if (-not [IO.Directory]::Exists($dir)) { Fail 'NotStarted' ('no verification of the run {0} was started in this guest since its last boot' -f $Run) }
$state = Read-Line ($dir + '\result') 0
if ($state -eq '') { Fail 'NotEnded' 'the verification has not ended' }
if ($state -ne 'done') { Fail 'NotEnded' ('the verification ended as {0}: {1}' -f $state, (Read-Line ($dir + '\result') 2)) }
$verdict = Read-Line ($dir + '\verdict') 0
if ($verdict -eq '') { Fail 'GuestError' 'the verdict cannot be read' }
[Console]::Out.WriteLine('{"ok":true,"result":' + $verdict + '}')
