# One name as one word of a list, and back: as `encode` and `decode` do for many.
enc() {
  REPLY=${1//\\/\\s}
  REPLY=${REPLY//$'\t'/\\t}
  REPLY=${REPLY//$'\n'/\\n}
}
dec() {
  [[ $1 == *\\* ]] || { REPLY=$1 && return; }
  REPLY=${1//\\n/$'\n'}
  REPLY=${REPLY//\\t/$'\t'}
  REPLY=${REPLY//\\s/\\}
}
