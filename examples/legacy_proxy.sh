#!/bin/sh
# Join plain web servers to one pool; http://127.0.0.1:FRONT/ reaches any server that is up.
# Usage: legacy_proxy.sh REGISTRAR FRONT BACK... (the registrar's address, then ports)
set -eu
registrar=$1 front=$2 started=
shift 2
trap 'kill $started; wait' EXIT
trap 'exit 0' INT TERM

start() {
    "$@" &
    started="$started $!"
}

for back; do
    start python3 -m http.server --bind 127.0.0.1 "$back"
    start rserpool proxy-pe --pool=WebPool --registrar="$registrar" \
        --target="127.0.0.1:$back" --check=http=/ --interval=1
done
start rserpool proxy-pu --pool=WebPool --registrar="$registrar" --listen="127.0.0.1:$front"
wait
