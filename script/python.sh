# shellcheck shell=bash
# Sourced by run, test and check: sets `python` to a Python 3.11 to 3.13, or says what to do.
# PYTHON overrides; otherwise the one that made .venv is kept, so that nothing is made twice.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

is_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

python=
if [ -n "${PYTHON:-}" ]; then
    if ! is_supported "$PYTHON"; then
        echo "PYTHON is $PYTHON, which is no Python 3.11 to 3.13; set it to one, such as PYTHON=python3.11" >&2
        exit 1
    fi
    python=$PYTHON
else
    for candidate in "$root/.venv/bin/python" python3 python3.13 python3.12 python3.11; do
        if is_supported "$candidate"; then
            python=$candidate
            break
        fi
    done
fi
if [ -z "$python" ]; then
    echo "no Python 3.11 to 3.13 was found; install one (Debian 12: apt-get install python3), or set PYTHON to it" >&2
    exit 1
fi
