#!/bin/sh
# What mslock does, in a minute: a run, a skip, and what is known of both afterwards. `make demo`.
# It writes to a folder of its own and leaves nothing behind.
set -eu
PATH=$(CDPATH='' cd -- "$(dirname -- "$1")" && pwd):$PATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HOME="$folder" MSLOCK_DB="sqlite:///$folder/mslock.db" MSLOCK_CONF=/dev/null

printf '#!/bin/sh\necho "three orders, 117 euros"\n' >report.sh
chmod +x report.sh

say() { printf '\n# %s\n' "$1"; }
show() {
    printf '$ %s\n' "$*"
    code=0
    "$@" || code=$?
    if [ "$code" -ne 0 ]; then echo "exit code $code"; fi
}

say 'One server runs the job (-v tells of it; in a crontab nothing is said):'
show mslock --name report -v -- ./report.sh
if [ "$code" -ne 0 ]; then exit 1; fi

say 'Another comes a moment later, and skips:'
show mslock --name report -v -- ./report.sh
if [ "$code" -ne 75 ]; then exit 1; fi

say 'What is known of the lock, and of its runs:'
show mslock status
if [ "$code" -ne 0 ]; then exit 1; fi
show mslock history report
if [ "$code" -ne 0 ]; then exit 1; fi
