# Says which of the paths cannot be brought back: not there, or not on a usable file system of the original disk. Reads only.
need originalSerial
need paths.#
find_original
orig=$ORIGINAL
read_disks
read_mounts
out=
for ((k = 0; k < IN[paths.#]; k++)); do
  WHY_CODE=
  if locate "${IN[paths.$k]}" "$orig"; then
    [[ $EXISTS ]] || why PathNotFound "${IN[paths.$k]} does not exist in the guest"
  fi
  if [[ $WHY_CODE ]]; then
    js "${IN[paths.$k]}" && p=$REPLY
    js "$WHY" && w=$REPLY
    out+=${out:+,}"{\"path\":$p,\"code\":\"$WHY_CODE\",\"message\":$w}"
  fi
done
answer "{\"problems\":[$out]}"
