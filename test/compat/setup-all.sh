# Sourced by setup.sh with COMPAT=all: clients of Java, Go, ODBC, .NET and dbt (test/compat/clients/). Downloads lie under the same cache; what
# cannot be had leaves its variable unset, and its client is skipped: COMPAT_JARS, COMPAT_PGX, COMPAT_ODBC_PYTHON, COMPAT_NPGSQL_PYTHON,
# COMPAT_DBT_PYTHON.

absent() { echo "compat: $*: skipped" >&2; }

install_jdbc() {
  local version=42.7.8 jars="$cache/jars"
  command -v java >/dev/null || { absent 'pgjdbc needs java'; return; }
  if [ ! -s "$jars/postgresql-$version.jar" ]; then
    command -v mvn >/dev/null || { absent 'pgjdbc needs mvn for its download'; return; }
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:copy "-Dartifact=org.postgresql:postgresql:$version" \
      "-DoutputDirectory=$jars" >"$cache/mvn.log" 2>&1 || { absent 'pgjdbc could not be downloaded'; return; }
  fi
  export COMPAT_JARS="$jars/postgresql-$version.jar"
}

build_pgx() {
  command -v go >/dev/null || { absent 'pgx needs go'; return; }
  mkdir -p "$cache/bin"
  (cd test/compat/clients/pgx && go build -o "$cache/bin/pgx-scenario" .) >&2 || { absent 'pgx could not be built'; return; }
  export COMPAT_PGX="$cache/bin/pgx-scenario"
}

install_odbc() {
  local venv="$cache/clients-venv"
  if ! command -v odbcinst >/dev/null || ! odbcinst -q -d -n 'PostgreSQL Unicode' >/dev/null 2>&1; then
    local as=()
    [ "$(id -u)" = 0 ] || as=(sudo -n)
    command -v apt-get >/dev/null && "${as[@]}" apt-get install -qy --no-install-recommends unixodbc odbc-postgresql >>"$cache/apt.log" 2>&1 ||
      { absent 'psqlODBC could not be installed'; return; }
  fi
  "$venv/bin/python" -c 'import pyodbc' 2>/dev/null || "$venv/bin/python" -m pip install -q --disable-pip-version-check pyodbc==5.5.0 >&2 ||
    { absent 'pyodbc could not be installed'; return; }
  export COMPAT_ODBC_PYTHON="$venv/bin/python"
}

# The .NET runtime, a bridge to it, and Npgsql.dll are each part of a Python package: nothing of .NET need be installed.
install_npgsql() {
  local venv="$cache/npgsql-venv" packages=(pythonnet==3.2.1 dotnetcore2==3.1.23) carrier=azureml-dataprep==1.8.2
  if [ "$(cat "$venv/.done" 2>/dev/null)" != "${packages[*]} $carrier" ]; then
    { python3 -m venv --clear "$venv" && "$venv/bin/python" -m pip install -q --disable-pip-version-check "${packages[@]}" >&2 &&
      "$venv/bin/python" -m pip download -q --disable-pip-version-check --no-deps -d "$venv/wheels" "$carrier" >&2 &&
      "$venv/bin/python" - "$venv"/wheels/*.whl "$venv/npgsql" <<'PY' && rm -r "$venv/wheels" &&
import os, sys, zipfile
os.makedirs(sys.argv[2])
with zipfile.ZipFile(sys.argv[1]) as wheel, open(os.path.join(sys.argv[2], 'Npgsql.dll'), 'wb') as target:
    target.write(wheel.read('azureml/dataprep/api/engineapi/bin/Npgsql.dll'))
PY
      echo "${packages[*]} $carrier" >"$venv/.done"; } || { absent 'Npgsql could not be installed'; return; }
  fi
  export COMPAT_NPGSQL_PYTHON="$venv/bin/python" COMPAT_NPGSQL="$venv/npgsql"
}

install_dbt() {
  local venv="$cache/dbt-venv" packages=(dbt-postgres==1.11.0 dbt-core==1.10.13)
  if [ "$(cat "$venv/.done" 2>/dev/null)" != "${packages[*]}" ]; then
    { python3 -m venv --clear "$venv" && "$venv/bin/python" -m pip install -q --disable-pip-version-check "${packages[@]}" >&2 &&
      echo "${packages[*]}" >"$venv/.done"; } || { absent 'dbt could not be installed'; return; }
  fi
  export COMPAT_DBT_PYTHON="$venv/bin/python"
}

install_jdbc
build_pgx
install_odbc
install_npgsql
install_dbt
