#!/bin/sh
# Makes .venv with everything that is pinned, and this project in it. Skips what is up to date.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
say() { echo "setup: $*" >&2; }

command -v "$python" >/dev/null || { say "no $python found: install Python 3.11 (Debian: apt-get install python3 python3-venv), or set PYTHON"; exit 69; }
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { say "$("$python" --version) is not between 3.11 and 3.13: install one of these and set PYTHON=python3.11"; exit 69; }

stamp=.venv/.complete
wanted=$(cat requirements/installer.txt requirements/dev.txt pyproject.toml dev/setup.sh | cksum)
[ "$(cat $stamp 2>/dev/null)" = "$wanted" ] && exit 0

say "installing the Python packages into .venv (about a minute the first time)"
"$python" -m venv .venv || { say "python3-venv is missing: apt-get install python3-venv"; exit 69; }
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/installer.txt
# uv is the faster installer; pip knows the mirrors of pip's own configuration. Byte code now, once:
# where PYTHONDONTWRITEBYTECODE is set, every process of every test would compile all it imports.
.venv/bin/uv pip install --quiet --python .venv/bin/python --compile-bytecode --require-hashes -r requirements/dev.txt 2>.venv/uv.log ||
  .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
.venv/bin/python -m compileall -q operator model-server console dev
echo "$wanted" >$stamp
