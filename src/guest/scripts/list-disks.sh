# The kernel names of the guest's disks, to tell by comparison which one an attach has brought. Reads only.
list_disks
out=
for disk in "${DISKS[@]}"; do out+=${out:+,}"\"$disk\""; done
answer "{\"bootId\":\"$BOOT\",\"disks\":[$out]}"
