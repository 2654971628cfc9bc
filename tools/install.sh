#!/bin/sh
# Makes .venv with the pinned dependencies and the command `distillery`; does nothing when .venv is up to date.
#
# uv installs the dependencies: the uv on PATH, or else the pinned wheel of requirements/uv.txt, which pip puts
# into .venv. pip installs them when uv has no wheel for this platform or fails.
# Package index: uv reads UV_DEFAULT_INDEX, UV_INDEX and uv.toml, but not pip.conf. Behind a mirror that only pip
# is configured for, pip does the work.
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

# The stamp is a hash of what decides the installation: the lock, the project file, the version, the interpreter,
# and the folder, because the scripts of a moved checkout point to its earlier place.
digest=$("$python" -c '
import hashlib, pathlib, sys
names = ("requirements/dev.txt", "pyproject.toml", "layers/distillery/src/distillery/__init__.py")
parts = [pathlib.Path(name).read_bytes() for name in names]
here = f"{sys.version_info[:2]} {pathlib.Path.cwd()}".encode()
print(hashlib.sha256(b"\0".join([*parts, here])).hexdigest())
')
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest" ]; then
    exit 0
fi

if [ "$python" != .venv/bin/python ]; then
    echo "Making .venv with $("$python" --version) ..."
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 ||
        fail "The venv module of $python does not work; on Debian and Ubuntu it is the package python3-venv."
fi
rm -f "$stamp"

with_pip() {
    .venv/bin/python -m pip --quiet --quiet --disable-pip-version-check install "$@"
}

install() {
    if [ -n "$uv" ]; then
        # An explicit interpreter, so that UV_PYTHON and UV_SYSTEM_PYTHON do not choose another one.
        UV_PYTHON_DOWNLOADS=never "$uv" --quiet pip install --python .venv/bin/python "$@"
    else
        with_pip "$@"
    fi
}

# A uv inside .venv is on PATH too when make calls this script.
uv=$(command -v uv || true)
case $uv in
    "" | .venv/* | "$PWD"/.venv/*) uv= ;;
    *) "$uv" --version >/dev/null 2>&1 || uv= ;;
esac
if [ -z "$uv" ] && with_pip --require-hashes --no-deps --only-binary=:all: -r requirements/uv.txt >/dev/null 2>&1; then
    uv=.venv/bin/uv
fi

# The lock is complete, so nothing is resolved (pip 23.2 loses a pin while it resolves extras). With exact pins and
# hashes, no configuration of uv or pip can change what is installed.
echo "Installing the pinned dependencies into .venv ..."
[ -n "$uv" ] ||
    echo "uv could not be installed on this machine, so pip installs the dependencies, which takes about a minute."
if ! install --require-hashes --no-deps -r requirements/dev.txt; then
    [ -n "$uv" ] || fail "The dependencies could not be installed (see above)."
    echo "uv could not install the dependencies (see above), so pip installs them, which takes about a minute."
    uv=
    install --require-hashes --no-deps -r requirements/dev.txt || fail "The dependencies could not be installed (see above)."
fi
# Editable and without build isolation: the build tool is in the lock, so nothing more is downloaded.
install --no-build-isolation --no-deps --editable . || fail "The command distillery could not be installed."
echo "$digest" >"$stamp"
