# Sourced by run.sh: outside clients and engines, installed once under the user's cache folder.
# Sets COMPAT_PYTHON (a Python with PyIceberg and DuckDB), COMPAT_EXTENSIONS (DuckDB's extension directory), and where
# they are there COMPAT_MOTO and COMPAT_VERSITYGW (S3 servers): tests on a server that is not there are skipped. So are
# clients that are not there: COMPAT_CLIENTS_PYTHON, COMPAT_NODE, and with COMPAT=all those of setup-all.sh.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/arka-compat"
duckdb_version=1.5.5
packages=('pyiceberg[sql-sqlite,pyarrow]==0.12.0' "duckdb==$duckdb_version")
COMPAT_PYTHON="$cache/venv/bin/python"
COMPAT_EXTENSIONS="$cache/duckdb-extensions"
export COMPAT_PYTHON COMPAT_EXTENSIONS
mkdir -p "$cache"

die() { echo "compat: $*" >&2; exit 1; }

install_psql() {
  command -v psql >/dev/null && return
  command -v apt-get >/dev/null || die 'psql is missing; install the PostgreSQL client'
  local as=()
  [ "$(id -u)" = 0 ] || as=(sudo -n)
  echo 'compat: installing psql' >&2
  "${as[@]}" apt-get update -q >"$cache/apt.log" 2>&1 || true # a package list may be there from before
  "${as[@]}" apt-get install -qy --no-install-recommends postgresql-client >>"$cache/apt.log" 2>&1 ||
    { tail -n 20 "$cache/apt.log" >&2; die 'psql could not be installed'; }
}

install_python_packages() {
  [ "$(cat "$cache/venv/.done" 2>/dev/null)" = "${packages[*]}" ] && return
  echo "compat: installing ${packages[*]}" >&2
  python3 -m venv --clear "$cache/venv" || die 'Python 3 with venv is missing'
  "$cache/venv/bin/python" -m pip install -q --disable-pip-version-check "${packages[@]}" >&2 || die 'pip failed'
  echo "${packages[*]}" >"$cache/venv/.done"
}

# DuckDB's own signed binaries, from their wheels, laid out as an extension directory.
install_duckdb_extensions() {
  local platform folder name package
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) platform=linux_amd64 ;;
    Linux-aarch64) platform=linux_arm64 ;;
    *) die "no DuckDB extensions for $(uname -s) $(uname -m)" ;;
  esac
  folder="$COMPAT_EXTENSIONS/v$duckdb_version/$platform"
  mkdir -p "$folder" "$cache/wheels"
  for name in avro httpfs iceberg; do
    [ -s "$folder/$name.duckdb_extension" ] && continue
    package="duckdb-extension-$name==$duckdb_version"
    echo "compat: installing $package" >&2
    "$COMPAT_PYTHON" -m pip download -q --disable-pip-version-check --no-deps -d "$cache/wheels" "$package" >&2 ||
      die "$package could not be downloaded"
    "$COMPAT_PYTHON" - "$cache"/wheels/duckdb_extension_"$name"-"$duckdb_version"-*.whl "$folder/$name.duckdb_extension" <<'PY' || die "$package has no extension"
import os, shutil, sys, zipfile
wheel, target = zipfile.ZipFile(sys.argv[1]), sys.argv[2]
(member,) = [name for name in wheel.namelist() if name.endswith('.duckdb_extension')]
with wheel.open(member) as source, open(target + '.part', 'wb') as part:
    shutil.copyfileobj(source, part)
os.rename(target + '.part', target)
PY
  done
}

# An S3 server in memory, in an environment of its own: it must not decide the versions of the readers.
install_moto() {
  local package='moto[server]==5.2.5' venv="$cache/moto-venv"
  if [ "$(cat "$venv/.done" 2>/dev/null)" != "$package" ]; then
    echo "compat: installing $package" >&2
    python3 -m venv --clear "$venv" && "$venv/bin/python" -m pip install -q --disable-pip-version-check "$package" >&2 || {
      echo 'compat: moto could not be installed: the tests on S3 are skipped' >&2
      return
    }
    echo "$package" >"$venv/.done"
  fi
  export COMPAT_MOTO="$venv/bin/moto_server"
}

# An S3 gateway that checks signatures. It takes minutes to build, so it is used only where it is:
# GOBIN=~/.cache/arka-compat/bin go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
find_versitygw() {
  local binary="$cache/bin/versitygw"
  [ -x "$binary" ] || binary=$(command -v versitygw) || return 0
  export COMPAT_VERSITYGW="$binary"
}

# Drivers and tools of Python and Node (test/compat/clients/): one that cannot be had is skipped.
install_clients() {
  local venv="$cache/clients-venv" node="$cache/clients-node"
  local python=('psycopg[binary]==3.3.9' psycopg2-binary==2.9.13 asyncpg==0.32.0 sqlalchemy==2.1.9 greenlet pgcli==4.7.1)
  local npm=(pg@8.23.1 pg-cursor@2.22.1 pg-copy-streams@7.0.0 postgres@3.4.9)
  if [ "$(cat "$venv/.done" 2>/dev/null)" != "${python[*]}" ]; then
    echo "compat: installing ${python[*]}" >&2
    { python3 -m venv --clear "$venv" && "$venv/bin/python" -m pip install -q --disable-pip-version-check "${python[@]}" >&2 &&
      echo "${python[*]}" >"$venv/.done"; } || echo 'compat: clients of Python could not be installed: they are skipped' >&2
  fi
  if [ "$(cat "$node/.done" 2>/dev/null)" != "${npm[*]}" ]; then
    echo "compat: installing ${npm[*]}" >&2
    { mkdir -p "$node" && echo '{"private":true}' >"$node/package.json" &&
      npm install --prefix "$node" --no-audit --no-fund --loglevel=error "${npm[@]}" >&2 && echo "${npm[*]}" >"$node/.done"; } ||
      echo 'compat: clients of Node could not be installed: they are skipped' >&2
  fi
  [ -e "$venv/.done" ] && export COMPAT_CLIENTS_PYTHON="$venv/bin/python"
  [ -e "$node/.done" ] && export COMPAT_NODE="$node"
  return 0
}

install_psql
install_python_packages
install_duckdb_extensions
install_moto
install_clients
if [ "${COMPAT:-}" = all ]; then . test/compat/setup-all.sh; fi
find_versitygw
