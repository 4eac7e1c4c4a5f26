#!/bin/bash
# A throw-away PostgreSQL on loopback, for tests. Its data survives nothing on purpose: no fsync.
#
#   postgres.sh install
#   postgres.sh start DIR PORT     new cluster in DIR (empty or absent), or that of an earlier start; prints its URL
#   postgres.sh stop DIR
#   postgres.sh status DIR         exit status 0 when it answers
#
# PostgreSQL refuses to run as root; called by root, the cluster runs as the user `postgres` (or POSTGRES_USER_NAME).
set -euo pipefail
export LC_ALL=C
die() { echo "postgres.sh: $*" >&2; exit 1; }

verb=${1:-}
[ "$verb" = install ] && exec "$(dirname "$(readlink -f "$0")")/install.sh" postgres
[ $# -ge 2 ] || { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
dir=$(readlink -m "$2")
case $dir in /|/tmp|/root|/home|/var|/etc|/usr) die "refusing DIR $dir";; esac

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -x "${bin:-}/initdb" ] || die "PostgreSQL's server is not installed; run '$0 install'"

as_server() {
  if [ "$(id -u)" != 0 ]; then (cd / && "$@"); return; fi
  (cd / && setpriv --reuid="${POSTGRES_USER_NAME:-postgres}" --regid="${POSTGRES_USER_NAME:-postgres}" --init-groups -- \
    env HOME="$dir" "$@")
}
answers() { [ -f "$dir/port" ] && "$bin/pg_isready" -q -h 127.0.0.1 -p "$(cat "$dir/port")"; }

start() {
  local port=${1:-}
  case $port in ''|*[!0-9]*) die "usage: start DIR PORT";; esac
  if ! answers; then
    mkdir -p "$dir"
    if [ "$(id -u)" = 0 ]; then chown "${POSTGRES_USER_NAME:-postgres}" "$dir"; fi
    if [ ! -f "$dir/data/PG_VERSION" ]; then
      as_server "$bin/initdb" -D "$dir/data" -U firn --auth=trust --encoding=UTF8 --locale=C.UTF-8 >"$dir/initdb.log" ||
        { cat "$dir/initdb.log" >&2; die 'initdb failed (can the server user reach DIR?)'; }
    fi
    echo "$port" >"$dir/port"
    local settings="-h 127.0.0.1 -p $port -k '' -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    settings+=" -c max_connections=200 -c shared_buffers=128MB"
    as_server "$bin/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/data/server.log" -o "$settings" start >"$dir/start.log" ||
      { cat "$dir/start.log" "$dir/data/server.log" >&2; die 'it did not start'; }
    "$bin/psql" -h 127.0.0.1 -p "$port" -U firn -d postgres -qtAc \
      "select 1 from pg_database where datname = 'firn'" | grep -q 1 ||
      "$bin/createdb" -h 127.0.0.1 -p "$port" -U firn firn
  fi
  echo "postgres://firn@127.0.0.1:$(cat "$dir/port")/firn"
}

case $verb in
  start) start "${3:-}";;
  stop) [ ! -f "$dir/data/postmaster.pid" ] || as_server "$bin/pg_ctl" -D "$dir/data" -m fast -w stop >/dev/null;;
  status) answers;;
  *) die "unknown verb $verb";;
esac
