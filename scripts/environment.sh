# Sourced by the other scripts: makes .venv from the hashed lock "$1" and keeps it up to date.
# Needs Python 3.11 or newer with venv, and the package index that pip is set up for.

lock="requirements/$1.lock"
sum_of() { cat "$1" pyproject.toml | cksum | tr ' ' '-'; }
stamp=".venv/.$1-$(sum_of "$lock")"

# What the tests need includes what running needs, in the same versions.
if [ ! -e "$stamp" ] && [ ! -e ".venv/.dev-$(sum_of requirements/dev.lock)" ]; then
  python=""
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      python="$candidate"
      break
    fi
  done
  if [ -z "$python" ]; then
    echo "Python 3.11 or newer is needed; install it and run this again." >&2
    exit 1
  fi

  echo "Setting up .venv from $lock (once, about a minute) ..." >&2
  # A folder that an interrupted or failed attempt left has no pip; it is made again.
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1 && ! "$python" -m venv --clear .venv; then
    rm -rf .venv
    echo "$python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
  fi
  pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"; }
  # Bytecode is written when a module is first used: compiling all of it would take longer than the rest.
  pip install --no-compile --require-hashes -r "$lock"
  pip install --no-deps --no-build-isolation --editable .
  rm -f .venv/."$1"-*
  : > "$stamp"
fi
