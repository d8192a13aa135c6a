# Put before every guest script: reads the input, answers in JSON, keeps the run's folder and its lock. Windows PowerShell 5.1;
# what look-around needs to say that a guest is older runs from 3.0 on. Only the answer reaches the script's output.
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$WarningPreference = 'SilentlyContinue'
# Windows PowerShell would write some arrays as objects of value and Count.
Remove-TypeData -TypeName System.Array -ErrorAction SilentlyContinue
trap {
  Send-Failure $false 'GuestError' ('{0} (line {1})' -f $_.Exception.Message, $_.InvocationInfo.ScriptLineNumber)
}

# One line of ASCII, whatever the code page of the output is.
function ConvertTo-Line($Value) {
  $json = ConvertTo-Json -InputObject $Value -Compress -Depth 8
  [regex]::Replace($json, '[^\x20-\x7e]', { param($match) '\u{0:x4}' -f [int][char]$match.Value })
}

# The one line of output. Refused: the guest is not as it must be and trying again does not help.
function Send-Answer($Result) {
  [Console]::Out.WriteLine((ConvertTo-Line ([ordered]@{ ok = $true; result = $Result })))
  exit 0
}
function Send-Failure([bool]$Refused, [string]$Code, [string]$Message) {
  $text = $Message.Substring(0, [Math]::Min(3000, $Message.Length))
  # A detached job has nobody who reads its output: its end is kept in a file.
  if ($JobDir -ne '') {
    $state = 'failed'
    if ($Refused) { $state = 'refused' }
    Exit-Job $state $Code $text
  }
  [Console]::Out.WriteLine((ConvertTo-Line ([ordered]@{ ok = $false; refused = $Refused; code = $Code; message = $text })))
  exit 0
}
function Deny([string]$Code, [string]$Message) { Send-Failure $true $Code $Message }
function Fail([string]$Code, [string]$Message) { Send-Failure $false $Code $Message }

# Set by the few lines that a detached job begins with.
if (-not (Test-Path -LiteralPath variable:JobDir)) { $JobDir = '' }

# A field of the input, or the default where it is absent: strict mode has no word for that.
function Get-Field($Object, [string]$Name, $Default) {
  $property = $Object.PSObject.Properties[$Name]
  if ($null -eq $property -or $null -eq $property.Value) { return $Default }
  $property.Value
}
function Get-Needed($Object, [string]$Name) {
  $property = $Object.PSObject.Properties[$Name]
  if ($null -eq $property -or $null -eq $property.Value) { Deny 'InvalidInput' ("the script's input is not what it must be: {0} is missing" -f $Name) }
  $property.Value
}
try {
  $In = ConvertFrom-Json -InputObject ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($InputB64)))
} catch {
  Deny 'InvalidInput' "the script's input is not the JSON that it must be"
}
$Run = [string](Get-Field $In 'run' 'none')
if ($Run -cnotmatch '^[a-z0-9-]{1,64}\z') { Deny 'InvalidInput' 'run is not [a-z0-9-]{1,64}' }

# Which boot this is: a key that no boot outlives holds an id.
function Get-BootId {
  $key = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey('SYSTEM\CurrentControlSet\Control\ecs-rollback-boot', [Microsoft.Win32.RegistryKeyPermissionCheck]::ReadWriteSubTree, [Microsoft.Win32.RegistryOptions]::Volatile)
  $id = [string]$key.GetValue('id', '')
  if ($id -eq '') {
    $id = [guid]::NewGuid().ToString()
    $key.SetValue('id', $id)
  }
  $key.Close()
  $id
}
# What was found and mounted before a reboot is not what is there after it: the copy may have the original's letter.
$wantedBoot = [string](Get-Field $In 'bootId' '')
if ($wantedBoot -ne '' -and $wantedBoot -ne (Get-BootId)) {
  Deny 'GuestRebooted' "the guest was rebooted while the recovery disk was attached, which may have given it the original's drive letter: see in Disk Management which disk has which letter before anything is copied, then try again"
}

$Base = Join-Path -Path ([Environment]::GetFolderPath('CommonApplicationData')) -ChildPath 'ecs-rollback'
$RunDir = Join-Path -Path $Base -ChildPath $Run
$Aside = '.ecs-rollback-' + $Run + '.aside'
$Utf8 = New-Object Text.UTF8Encoding $false

# Makes the run's folder, which only the system and administrators may enter, and what is in it belongs to this boot. Whoever
# may write there could have a script of theirs run as the system.
function Initialize-RunDir {
  if (-not [IO.Directory]::Exists($Base)) {
    $rules = New-Object Security.AccessControl.DirectorySecurity
    $rules.SetSecurityDescriptorSddlForm('O:BAG:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)')
    $null = [IO.Directory]::CreateDirectory($Base, $rules)
  }
  $acl = Get-Acl -LiteralPath $Base
  $owner = $acl.GetOwner([Security.Principal.SecurityIdentifier]).Value
  if (@('S-1-5-18', 'S-1-5-32-544') -notcontains $owner -or -not $acl.AreAccessRulesProtected -or (Test-Link $Base)) {
    Deny 'GuestNotSafe' ('{0} is not a folder that ecs-rollback has made: see who has, and remove it' -f $Base)
  }
  $null = [IO.Directory]::CreateDirectory($RunDir)
  $boot = Get-BootId
  $kept = Join-Path -Path $RunDir -ChildPath 'boot'
  if ((Read-Line $kept 0) -ne $boot) {
    foreach ($job in @('copy', 'verify')) {
      $old = Join-Path -Path $RunDir -ChildPath $job
      if ([IO.Directory]::Exists($old)) { [IO.Directory]::Delete($old, $true) }
    }
    [IO.File]::WriteAllText($kept, $boot, $Utf8)
  }
}
# One script at a time changes things; the lock ends with the process.
function Enter-Lock {
  $script:Lock = New-Object Threading.Mutex $false, 'Global\ecs-rollback'
  try { $entered = $script:Lock.WaitOne(100000) } catch [Threading.AbandonedMutexException] { $entered = $true }
  if (-not $entered) { Fail 'Busy' 'another script of ecs-rollback is at work in this guest' }
}

# Line $Number of a file of ours, or nothing.
function Read-Line([string]$File, [int]$Number) {
  if (-not [IO.File]::Exists($File)) { return '' }
  $lines = @([IO.File]::ReadAllLines($File, $Utf8))
  if ($Number -ge $lines.Count) { return '' }
  [string]$lines[$Number]
}
# Symbolic links, junctions, mounted folders, and files that a filter keeps elsewhere.
function Test-Link([string]$Path) {
  [bool]([IO.File]::GetAttributes($Path) -band [IO.FileAttributes]::ReparsePoint)
}
# The whole file or none. A reader may hold the old one for a moment.
function Write-Whole([string]$File, [string]$Text) {
  [IO.File]::WriteAllText($File + '.new', $Text, $Utf8)
  for ($try = 0; ; $try++) {
    try {
      Move-Item -LiteralPath ($File + '.new') -Destination $File -Force
      return
    } catch {
      if ($try -ge 50) { throw }
      Start-Sleep -Milliseconds 100
    }
  }
}
# The end of a detached job. States: done, failed (start it again and it goes on), refused (starting again does not help).
function Exit-Job([string]$State, [string]$Code, [string]$Message) {
  Write-Whole ($JobDir + '\result') ($State + "`n" + $Code + "`n" + ($Message -replace '[\r\n]+', ' '))
  exit 0
}
