# What a run leaves in the guest, for root only, until somebody removes it: the roots below which it keeps things aside, the
# directories that get the attributes of B, and its report: lines "verdict, action, size, path", sorted by path, with names as tree.sh writes them.
need run
KEPT_DIR=/var/lib/ecs-rollback/$RUN

# Makes the report of what the copy's plan says and of the rows in the files $@. False where there is no room for it.
keep_report() {
  (
    set -o pipefail
    mkdir -p "$KEPT_DIR" && sort -S 32M -T "$KEPT_DIR" -t "$TAB" -k4 -- "$RUN_DIR"/copy/m*/report "$@" | gzip -n >"$KEPT_DIR/report.new" &&
      mv -f "$KEPT_DIR/report.new" "$KEPT_DIR/report.gz"
  ) && return
  rm -f "$KEPT_DIR/report.new"
  return 1
}
# report = where it is, as a field of the receipt.
report_json() {
  local lines digest
  lines=$(gzip -dc "$KEPT_DIR/report.gz" | wc -l)
  read -r digest _ < <(sha256sum <"$KEPT_DIR/report.gz")
  report=",\"report\":{\"file\":\"$KEPT_DIR/report.gz\",\"entries\":$lines,\"sha256\":\"$digest\"}"
}
