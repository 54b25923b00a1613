#!/bin/sh
# Records what the caller of one call says, with the nats CLI: sh record.sh CALL [FOLDER]
# Needs nats, and base64 as in GNU coreutils. Ends with the call, or with Ctrl-C; then CALL.wav is made.
set -eu
call=${1:?"which call? its id begins with CA"}
folder=${2:-.}
mkdir -p "$folder"
sound=$folder/$call.ulaw
queue=$(mktemp -d)
mkfifo "$queue/frames"

follow() {
  exec nats --inbox-prefix=_INBOX.subscriber sub "$@"
}

# Sound holds every byte, also the line feed that --raw ends a message with (or not, when it ends with one
# already): so each message comes as JSON, ended by a NUL, its bytes in base64.
decode() {
  tr '\0' '\n' | sed -n 's/.*"Data":"\([^"]*\)".*/\1/p' | base64 -d
}

little_endian() { # NUMBER BYTES
  number=$1 left=$2
  while [ "$left" -gt 0 ]; do
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\$(printf '%03o' $((number & 255)))"
    number=$((number >> 8)) left=$((left - 1))
  done
}

wav() { # mu-law (7), one channel, 8,000 samples and bytes a second, a byte a sample of 8 bits
  size=$(($(wc -c <"$1")))
  printf 'RIFF' && little_endian $((size + 50)) 4 && printf 'WAVE'
  printf 'fmt ' && little_endian 18 4 && little_endian 7 2 && little_endian 1 2
  little_endian 8000 4 && little_endian 8000 4 && little_endian 1 2 && little_endian 8 2 && little_endian 0 2
  printf 'fact' && little_endian 4 4 && little_endian "$size" 4
  printf 'data' && little_endian "$size" 4 && cat "$1"
}

trap : INT TERM
(follow "call.$call.in.*.audio" --dump=- >"$queue/frames") &
listener=$!
decode <"$queue/frames" >"$sound" &
decoder=$!
(follow "call.$call.event.call_ended" --count=1 --raw >/dev/null) &
end=$!
wait $end || true
sleep 1 # the last frames are on their way
kill $listener $end 2>/dev/null || true
wait $decoder || true
wav "$sound" >"$folder/$call.wav"
rm -r "$sound" "$queue"
echo "$folder/$call.wav"
