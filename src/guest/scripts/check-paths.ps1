# Says which of the paths cannot be brought back: not there, or not on a usable volume of the original disk. Reads only.
$disk = Get-TheDisk 'original' ([string](Get-Needed $In 'originalSerial')) 0 0
$partitions = @(Get-Partition -ErrorAction SilentlyContinue)
$problems = @()
foreach ($path in @(Get-Needed $In 'paths')) {
  $found = Find-Place $path $disk.Number $partitions
  $code = $found.Code
  $message = ''
  if ($code -ne '') { $message = $found.Message }
  elseif (-not $found.Exists) {
    $code = 'PathNotFound'
    $message = '{0} does not exist in the guest' -f $path
  }
  if ($code -ne '') { $problems += [ordered]@{ path = $path; code = $code; message = $message } }
}
Send-Answer ([ordered]@{ problems = @($problems) })
