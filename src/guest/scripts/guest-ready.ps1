# Which boot this is, and since when. The agent's service starts after the disks were mounted.
$null = Get-Needed $In 'waitSeconds'
$system = Get-CimInstance -ClassName Win32_OperatingSystem
$seconds = ($system.LastBootUpTime.ToUniversalTime() - (New-Object DateTime 1970, 1, 1, 0, 0, 0, ([DateTimeKind]::Utc))).TotalSeconds
Send-Answer ([ordered]@{
  bootId = Get-BootId
  bootedAt = $seconds.ToString('0.000', [Globalization.CultureInfo]::InvariantCulture)
})
