# The verdict of a verification that has ended.
need run
DIR=$RUN_DIR/verify
[[ -d $DIR ]] || fail NotStarted "no verification of the run $RUN was started in this guest since its last boot"
{ read -r state; read -r code; IFS= read -r text; } <"$DIR/result" || fail NotEnded "the verification has not ended"
[[ $state == done ]] || fail NotEnded "the verification ended as $state: $text"
IFS= read -r verdict <"$DIR/verdict" || fail GuestError 'the verdict cannot be read'
answer "$verdict"
