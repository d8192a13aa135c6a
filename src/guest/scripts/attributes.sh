# Extended attributes, and SELinux labels, which are among them.

# Lines "name, attributes" for those of the names on standard input (NUL) that have any; $1: a pattern of `getfattr`.
attributes() {
  xargs -0 -r getfattr -h -d -m "$1" -e hex --absolute-names -- | awk "$AWK_LISTS"'
    function flush() { if (all != "") print name, all; all = "" }
    BEGIN { for (i = 0; i < 256; i++) byte[sprintf("%o", int(i / 64)) sprintf("%o", int(i / 8) % 8) i % 8] = sprintf("%c", i)
      byte["134"] = "\\s"; byte["012"] = "\\n"; byte["011"] = "\\t" }
    /^# file: / {
      flush(); rest = substr($0, 9); name = ""
      # It writes odd bytes as \nnn, and the backslash too.
      while ((p = index(rest, "\\")) > 0) { name = name substr(rest, 1, p - 1) byte[substr(rest, p + 1, 3)]; rest = substr(rest, p + 4) }
      name = name rest; next
    }
    /./ { all = all "|" $0 }
    END { flush() }' | sorted
}

# Where SELinux is on, what was brought back without a label of its own gets the one that the guest's policy has for it.
relabel() {
  : >"$M/relabelled"
  selinuxenabled && hash restorecon || return 0
  if [[ " ${TAR[*]} " == *' --xattrs '* ]] && hash getfattr; then
    cd -P -- "$FROM" || die "$FROM is gone"
    # In hex: unlabeled_t and :file_t, which stand for none.
    decode <"$M/brought" | attributes '^security[.]selinux$' | grep -v '756e6c6162656c65645f74\|3a66696c655f74' |
      cut -f1 | comm -13 - "$M/brought" >"$M/relabelled"
  else
    cp -- "$M/brought" "$M/relabelled"
  fi
  cut -f1 "$M/kept" | sorted -u | comm -13 - "$M/relabelled" >"$M/unlabelled" && mv "$M/unlabelled" "$M/relabelled"
  [[ -s $M/relabelled ]] || return 0
  cd -P -- "$TO" || die "$TO is gone"
  # Through a pipe: its own domain may not read our files.
  decode <"$M/relabelled" | restorecon -F -0 -f - || die 'restorecon could not give SELinux labels to what was brought back'
}
