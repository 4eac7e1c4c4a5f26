#!/bin/bash
# Installs the peers that tests and the benchmark talk to, from Debian's packages; starts none of them.
#
#   install.sh [toolchain|dcmtk|orthanc|postgres|rgw|haproxy ...]     default: all but rgw and haproxy
#
# Needs root (or sudo) only for what is missing. Retries, because package mirrors have bad minutes.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

packages_of() {
  case $1 in
    toolchain) echo g++ make python3;;
    dcmtk) echo dcmtk;;
    orthanc) echo orthanc orthanc-dicomweb curl;;
    postgres) echo postgresql postgresql-contrib;;
    haproxy) echo haproxy;;
    rgw) echo radosgw ceph-mon ceph-osd python3;;
    *) echo "install.sh: unknown peer $1" >&2; exit 2;;
  esac
}

# A compiler that didn't come as Debian's package is as good.
present() {
  case $1 in
    g++|make|python3|curl) command -v "$1" >/dev/null;;
    *) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ];;
  esac
}

[ $# -gt 0 ] || set -- toolchain dcmtk orthanc postgres
missing=()
for peer in "$@"; do
  names=$(packages_of "$peer")
  for package in $names; do present "$package" || missing+=("$package"); done
done
if [ ${#missing[@]} -eq 0 ]; then echo "peers: all installed ($*)"; exit 0; fi
command -v apt-get >/dev/null || { echo "install.sh: not a Debian; install by hand: ${missing[*]}" >&2; exit 1; }

root=()
[ "$(id -u)" = 0 ] || root=(sudo)

# No service may start: a port taken by a default Orthanc or PostgreSQL would answer our tests.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
  "${root[@]}" chmod 755 $policy
  trap '"${root[@]}" rm -f $policy' EXIT
fi
# Nor is a default PostgreSQL cluster wanted.
case " ${missing[*]} " in *' postgresql '*)
  "${root[@]}" mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' | "${root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null;;
esac

apt() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
  -o Dpkg::Options::=--force-confold "$@"; }
for try in 1 2 3; do
  # The lists of a fresh machine are empty, those of an old one name versions that are gone.
  if apt update && apt install -y --no-install-recommends "${missing[@]}"; then
    echo "peers: installed ${missing[*]}"
    exit 0
  fi
  echo "install.sh: try $try failed" >&2
  sleep $((try * 5))
done
exit 1
