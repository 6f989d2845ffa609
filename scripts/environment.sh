# Sourced by the other scripts: makes .venv from the hashed lock "$1" and keeps it up to date.
# Needs Python 3.11 or newer with venv, and the package index that pip is set up for.

lock="requirements/$1.lock"
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

stamp=".venv/.$1-$(cat "$lock" pyproject.toml | cksum | tr ' ' '-')"
if [ ! -e "$stamp" ]; then
  echo "Setting up .venv from $lock (once, about a minute) ..." >&2
  if [ ! -x .venv/bin/python ] && ! "$python" -m venv .venv; then
    echo "python3 -m venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
  fi
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --editable .
  rm -f .venv/."$1"-*
  : > "$stamp"
fi
