#!/bin/sh
# Makes .venv and installs the pinned, hashed requirement files named as arguments.
# With uv where it is there, else with venv and pip. PYTHON names another interpreter.
set -eu

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_recent "$PYTHON" || fail "PYTHON=$PYTHON is not Python 3.11 or newer."
        printf '%s\n' "$PYTHON"
        return
    fi
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if is_recent "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    found=$(python3 --version 2>/dev/null || echo "no python3 at all")
    fail "mailhub needs Python 3.11 or newer, and found $found." \
        "Debian: apt-get install python3 python3-venv   macOS: brew install python" \
        "Or name one: make install PYTHON=/path/to/python3"
}

make_venv_with_pip() {
    python=$1
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        package=python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            echo "Installing $package, which makes virtual environments"
            apt-get update -q >/dev/null
            DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$package" >/dev/null
        else
            fail "$python has no venv module." "Debian: sudo apt-get install $package"
        fi
    fi
    "$python" -m venv .venv
}

# uv trusts the authorities that this machine trusts, as pip does (older uv: the second).
export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1

python=$(find_python)
if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
    is_recent .venv/bin/python || uv venv --quiet --clear --python "$python" .venv
    set -- $(printf ' -r %s' "$@")
    uv pip install --quiet --python .venv/bin/python --require-hashes "$@"
else
    .venv/bin/python -m pip --version >/dev/null 2>&1 && is_recent .venv/bin/python || {
        rm -rf .venv
        make_venv_with_pip "$python"
    }
    set -- $(printf ' -r %s' "$@")
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes "$@"
fi
