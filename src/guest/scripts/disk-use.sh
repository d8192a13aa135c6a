# What uses the disk in this guest: where it is mounted, swap on it, and what lies on it (LVM, md). Reads only.
need serial
candidates "${IN[serial]}"
read_disks
read_mounts
declare -A USE=()
for m in "${!M_AT[@]}"; do
  dev=${M_DEV[m]}
  if [[ $dev == 0:* && -b ${M_SRC[m]} ]]; then
    read -r major minor < <(stat -Lc '%t %T' -- "${M_SRC[m]}")
    dev=$((16#$major)):$((16#$minor))
  fi
  disk=${DISK_OF[$dev]-}
  [[ ! $disk || ! ${CAND[$disk]+set} ]] || USE["mounted at ${M_AT[m]}"]=1
done
for disk in "${!CAND[@]}"; do
  for f in "/sys/block/$disk/holders/"* "/sys/block/$disk"/*/holders/*; do USE["held by ${f##*/}"]=1; done
done
while read -r file _; do
  [[ -b $file ]] || continue
  name=$(readlink -f -- "$file")
  for disk in "${!CAND[@]}"; do [[ ${name##*/} != "$disk"* ]] || USE["swap on $name"]=1; done
done </proc/swaps
out=
while IFS= read -r use; do
  [[ $use ]] || continue
  js "$use"
  out+=${out:+,}$REPLY
done < <(printf '%s\n' ${USE[@]+"${!USE[@]}"} | sort)
answer "{\"uses\":[$out]}"
