#!/bin/sh
# Makes .venv with the pinned dependencies and the command `distillery`; does nothing when they are there.
# The stamp is a hash of the lock and of pyproject.toml, so a changed lock, and only that, installs again.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "$1" >&2
    exit 1
}

usable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

stamp=.venv/.installed
if [ -x .venv/bin/python ] && usable .venv/bin/python; then
    python=.venv/bin/python
else
    python=
    for name in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14; do
        if command -v "$name" >/dev/null 2>&1 && usable "$name"; then
            python=$name
            break
        fi
    done
    [ -n "$python" ] || fail "Python 3.11 or newer is needed, and none was found on PATH (PYTHON=... names one)."
fi

# The interpreter and the place count too: a moved checkout has scripts that point to where it was.
wanted=$("$python" -c '
import hashlib, pathlib, sys
parts = [pathlib.Path(name).read_bytes() for name in ("requirements/dev.txt", "pyproject.toml")]
here = f"{sys.version_info[:2]} {pathlib.Path.cwd()}".encode()
print(hashlib.sha256(b"\0".join([*parts, here])).hexdigest())
')
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

if [ "$python" != .venv/bin/python ]; then
    echo "Making .venv with $("$python" --version) ..."
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 ||
        fail "The venv module of $python does not work; on Debian and Ubuntu it is the package python3-venv."
fi
echo "Installing the pinned dependencies into .venv ..."
pip() {
    .venv/bin/python -m pip --quiet --quiet --disable-pip-version-check "$@"
}
rm -f "$stamp"
# The lock is complete, and pip 23.2 was seen to lose a pin while resolving extras: so nothing is resolved.
pip install --require-hashes --no-deps -r requirements/dev.txt || fail "The dependencies could not be installed (see above)."
# Editable and without build isolation: the build tool is in the lock, and nothing further is fetched.
pip install --no-build-isolation --no-deps --editable . || fail "The command distillery could not be installed."
echo "$wanted" >"$stamp"
