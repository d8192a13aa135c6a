#!/bin/bash
# Sends a signal to every copy job in the guest with all its processes, and prints one line for each job.
set -euo pipefail
for job in /run/ecs-rollback/*/copy/job.sh; do
  for process in $(pgrep -f "^bash $job\$"); do
    # A shell forks to run parts of itself; the job is the one that leads the session.
    [[ $(ps -o sid= -p "$process") -eq $process ]] || continue
    kill -@SIGNAL@ -- "-$process"
    echo "$process $(tail -n 1 "${job%/*}/progress")"
  done
done
