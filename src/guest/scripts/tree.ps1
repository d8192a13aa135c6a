# What copy and verification share: the plan's lines, one for each entry below the selected paths, in the order of the walk:
# kind, mount, action, verdict, size, ticks, live size, live ticks, name. No name on NTFS has a tab.
function Read-PlanLine([string]$Line, [long]$Number) {
  $cells = $Line.Split([char]9)
  $mount = $Mounts[[int]$cells[1]]
  [pscustomobject]@{
    Number = $Number
    Kind = $cells[0]
    Action = $cells[2]
    Size = [long]$cells[4]
    Ticks = [long]$cells[5]
    LiveSize = [long]$cells[6]
    LiveTicks = [long]$cells[7]
    Name = $cells[8]
    Mount = $mount
    Source = $mount.From + '\' + $cells[8]
    Target = $mount.To + '\' + $cells[8]
  }
}
# The mounts of the copy's input, without the backslash at the end.
function Read-Mounts($From) {
  foreach ($mount in @(Get-Needed $From 'mounts')) {
    [pscustomobject]@{
      From = ([string](Get-Needed $mount 'recoveryMount')).TrimEnd('\')
      To = ([string](Get-Needed $mount 'originalMount')).TrimEnd('\')
      Paths = @(Get-Needed $mount 'paths')
    }
  }
}
# Numbers of the plan's lines whose entry was kept after all, since somebody has changed it between plan and copy.
function Read-KeptLater([string]$File) {
  $kept = New-Object 'Collections.Generic.HashSet[long]'
  if ([IO.File]::Exists($File)) {
    foreach ($line in [IO.File]::ReadAllLines($File, $Utf8)) { if ($line -match '^[0-9]+\z') { $null = $kept.Add([long]$line) } }
  }
  , $kept
}
