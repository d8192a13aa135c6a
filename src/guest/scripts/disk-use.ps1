# What uses the disk in this guest: the letters and folders where it is to be seen. Reads only.
$uses = @()
foreach ($disk in @(Find-Disk ([string](Get-Needed $In 'serial')))) {
  foreach ($partition in (Get-PartitionsOf $disk.Number)) {
    foreach ($place in (Get-Places $partition)) { $uses += 'mounted at {0}' -f $place }
  }
}
Send-Answer ([ordered]@{ uses = @($uses | Sort-Object) })
