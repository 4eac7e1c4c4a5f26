#!/bin/bash
# Written for Firn; rules as for the other peers here: Debian's packages, loopback only, everything under DIR.
# A real single-node Ceph RADOS Gateway (S3) on loopback, for tests.
#
#   rgw.sh install             Debian packages (apt-get, no recommends)
#   rgw.sh start DIR PORT      fresh throw-away cluster under DIR, S3 on 127.0.0.1:PORT
#                              (already answering: prints the endpoint, changes nothing;
#                              stopped or broken: WIPES it and makes a new, empty one)
#   rgw.sh stop DIR [rgw]      stop this cluster (or only its gateway); data stays
#   rgw.sh resume DIR          start again what was stopped or killed, with its data
#   rgw.sh status DIR          exit 0 only if all daemons live and S3 answers
#   rgw.sh admin DIR ARGS...   radosgw-admin on this cluster
#   rgw.sh ceph DIR ARGS...    ceph on this cluster (no mgr: osd df, pg dump... never answer)
#
# One mon, one OSD, one radosgw, no mgr (nothing in S3 needs it).
# Environment for start: RGW_SIZE=20G (sparse), RGW_ACCESS_KEY=archive,
# RGW_SECRET_KEY=archive-secret, RGW_STORE=bluestore|memstore (memstore: in RAM, gone
# when its OSD stops, so it cannot be resumed).
# Ports: PORT for S3; the others are free ones from PORT+100..PORT+199, so give two
# clusters PORTs 1000 apart. Below 32000 they stay clear of ephemeral ports.
set -euo pipefail
umask 077
export LC_ALL=C CEPH_ARGS=
SELF=$(readlink -f "$0")
say() { echo "rgw.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# ---------------------------------------------------------------- helpers
setdir() {
  [ -n "${1:-}" ] || die "DIR missing"
  D=$(readlink -m "$1"); CONF=$D/ceph.conf
  case $D in /|/tmp|/root|/home|/var|/etc|/usr) die "refusing DIR $D";; esac
  case $D in *[[:space:]]*) die "DIR must not contain white space";; esac
}
ours() { [ -f "$D/.rgw-sh" ] || die "$D holds no cluster made by rgw.sh"; }
port() { sed -n 's/^port=//p' "$D/.rgw-sh"; }
store() { sed -n 's/^store=//p' "$D/.rgw-sh"; }

# pid of daemon $1 if alive and really ours (its command line names our ceph.conf)
pid_of() {
  local p; p=$(cat "$D/run/$1.pid" 2>/dev/null) || return 1
  [ -n "$p" ] && [ -r "/proc/$p/cmdline" ] || return 1
  tr '\0' '\n' <"/proc/$p/cmdline" 2>/dev/null | grep -qxF -- "$CONF" || return 1
  echo "$p"
}
daemons="mon.a osd.0 client.rgw" # in start order
port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# daemons fork themselves and return once they run; they get none of our descriptors
launch() { # NAME COMMAND...
  local n=$1; shift
  pid_of "$n" >/dev/null && return 0
  rm -f "$D/run/$n.pid"
  (cd "$D" && exec 9>&- "$@" -c "$CONF" --pid-file "$D/run/$n.pid" \
     </dev/null >>"$D/log/$n.out" 2>&1) || { tail -n 15 "$D/log/$n.out" >&2; die "$n did not start; see $D/log"; }
}
halt() { # NAME: TERM, then KILL after 20 s; only a pid that is ours
  local p i; p=$(pid_of "$1") || { rm -f "$D/run/$1.pid"; return 0; }
  kill -TERM "$p" 2>/dev/null || true
  for i in $(seq 200); do pid_of "$1" >/dev/null || break; sleep 0.1; done
  if p=$(pid_of "$1"); then say "$1 ($p) ignores TERM, killing"; kill -KILL "$p" 2>/dev/null || true; sleep 0.5; fi
  rm -f "$D/run/$1.pid"
}

# one signed S3 conversation; 'warm' also writes, reads and removes an object and its bucket
s3() {
  python3 - "$(port)" "$D/s3-user" "${1:-ping}" <<'PY'
import sys, hmac, hashlib, base64, http.client, email.utils
port, user, what = int(sys.argv[1]), open(sys.argv[2]).read().split(), sys.argv[3]
def req(m, path, body=None, ok=(200, 204)):
    date = email.utils.formatdate(usegmt=True)
    mac = hmac.new(user[1].encode(), ("%s\n\n\n%s\n%s" % (m, date, path)).encode(), hashlib.sha1)
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    c.request(m, path, body, {"Date": date, "Authorization": "AWS %s:%s" % (user[0], base64.b64encode(mac.digest()).decode())})
    r = c.getresponse(); d = r.read()
    if r.status not in ok: raise SystemExit("%s %s: %d %s" % (m, path, r.status, d[:300]))
    return d
try:
    req("GET", "/")
    if what == "warm":
        b = "/rgw-sh-warm-up"
        req("PUT", b); req("PUT", b + "/o", b"x"); assert req("GET", b + "/o") == b"x"
        req("DELETE", b + "/o"); req("DELETE", b)
except (OSError, http.client.HTTPException) as e:
    raise SystemExit(str(e))
PY
}
wait_s3() { # MODE SECONDS
  local t=$((SECONDS + $2)) e
  until e=$(s3 "$1" 2>&1); do
    pid_of client.rgw >/dev/null || die "radosgw died; see $D/log"
    [ $SECONDS -lt $t ] || die "no S3 answer: $e"
    sleep 0.3
  done
}

# ---------------------------------------------------------------- verbs
v_install() {
  local p need= pol=/usr/sbin/policy-rc.d
  for p in radosgw ceph-mon ceph-osd; do # ceph-common and ceph-base come with them
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || need="$need $p"
  done
  [ -n "$need" ] || { say "already installed: $(ceph-mon --version)"; return 0; }
  # keep a booted systemd from starting anything the packages bring
  if [ ! -e $pol ]; then printf '#!/bin/sh\nexit 101\n' >$pol; chmod 755 $pol; trap "rm -f $pol" EXIT; fi
  export DEBIAN_FRONTEND=noninteractive
  (umask 022; apt-get install -y -q --no-install-recommends $need ||
     { apt-get update -q && apt-get install -y -q --no-install-recommends $need; })
  ceph-mon --version
}

write_conf() { # PORT MONPORT FSID
  cat >"$CONF" <<CONF
[global]
fsid = $3
mon_host = [v2:127.0.0.1:$2]
keyring = $D/keyring
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
ms_bind_msgr1 = false
ms_bind_port_min = $(($1 + 100))
ms_bind_port_max = $(($1 + 199))
ms_async_op_threads = 2
auth_allow_insecure_global_id_reclaim = false
admin_socket =
run_dir = $D/run
crash_dir = $D/crash
log_file = $D/log/\$name.log
mon_cluster_log_file = $D/log/cluster.log
log_to_stderr = false
debug_rocksdb = 0/0
debug_bluestore = 0/0
debug_bdev = 0/0
debug_bluefs = 0/0
debug_osd = 0/0
debug_paxos = 0/0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0

[mon]
mon_data = $D/mon
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
mon_osd_nearfull_ratio = 0.70
mon_osd_backfillfull_ratio = 0.75
mon_osd_full_ratio = 0.80
mon_data_avail_warn = 1
mon_data_avail_crit = 0
mon_memory_autotune = false
rocksdb_cache_size = 16777216
mon_rocksdb_options = write_buffer_size=8388608,compression=kNoCompression,level_compaction_dynamic_level_bytes=true
paxos_propose_interval = 0.1
paxos_min_wait = 0.02

[osd]
osd_data = $D/osd
osd_objectstore = ${RGW_STORE:-bluestore}
bluestore_block_create = true
bluestore_block_size = $(numfmt --from=iec "${RGW_SIZE:-20G}")
memstore_device_bytes = $(numfmt --from=iec "${RGW_SIZE:-20G}")
bluestore_cache_autotune = false
bluestore_cache_size = 67108864
bluestore_rocksdb_options = compression=kNoCompression,max_write_buffer_number=4,min_write_buffer_number_to_merge=1,recycle_log_file_num=4,write_buffer_size=16777216,writable_file_max_buffer_size=0,max_background_jobs=2
osd_heartbeat_interval = 2
osd_mon_report_interval = 1
osd_op_num_shards = 2
osd_op_num_threads_per_shard = 2
osd_min_pg_log_entries = 100
osd_max_pg_log_entries = 500

[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:$1
rgw_data = $D/rgw
rgw_thread_pool_size = 64
rgw_num_async_rados_threads = 4
rgw_rados_pool_pg_num_min = 1
rgw_run_sync_thread = false
rgw_gc_obj_min_wait = 60
rgw_gc_processor_period = 60

[client.admin]
log_file = $D/log/admin.log
rgw_rados_pool_pg_num_min = 1
CONF
}

v_start() {
  setdir "${1:-}"; local port=${2:-} i mp fsid uuid
  case $port in ''|*[!0-9]*) die "usage: start DIR PORT";; esac
  [ "$port" -ge 1024 ] && [ "$port" -le 65300 ] || die "PORT must be 1024..65300"
  command -v radosgw ceph-mon ceph-osd ceph-authtool >/dev/null || die "run '$0 install' first"
  if [ -f "$D/.rgw-sh" ]; then
    if s3 ping >/dev/null 2>&1 && pid_of client.rgw >/dev/null; then
      [ "$(port)" = "$port" ] || die "$D already runs on port $(port)"
      echo "http://127.0.0.1:$port"; return 0
    fi
    v_stop "$D" >/dev/null
    rm -rf -- "$D"/{mon,osd,rgw,run,log,crash,keyring,ceph.conf,monmap,s3-user,.rgw-sh}
  elif [ -d "$D" ] && [ -n "$(ls -A "$D")" ]; then die "$D is not empty and not made by rgw.sh"; fi
  port_free "$port" || die "port $port is in use"
  trap 'rc=$?; [ $rc = 0 ] || v_stop "$D"; exit $rc' EXIT  # a failed start leaves logs, no processes
  trap 'exit 130' INT TERM HUP
  mkdir -p "$D"; printf 'port=%s\nstore=%s\n' "$port" "${RGW_STORE:-bluestore}" >"$D/.rgw-sh"
  mkdir -p "$D"/{mon,osd,rgw,run,log,crash}
  printf '%s %s\n' "${RGW_ACCESS_KEY:-archive}" "${RGW_SECRET_KEY:-archive-secret}" >"$D/s3-user"
  fsid=$(cat /proc/sys/kernel/random/uuid); uuid=$(cat /proc/sys/kernel/random/uuid)
  ceph-authtool -C "$D/keyring" --gen-key -n mon. --cap mon 'allow *' >/dev/null
  for i in client.admin osd.0 client.rgw; do
    ceph-authtool "$D/keyring" --gen-key -n $i --cap mon 'allow *' --cap osd 'allow *' >/dev/null
  done

  # ports are picked and bound under a lock, so that starts side by side do not collide
  exec 9<"$SELF"; flock 9
  mp=$((port + 100)); while ! port_free $mp; do mp=$((mp + 1)); [ $mp -lt $((port + 200)) ] || die "no free mon port"; done
  write_conf "$port" "$mp" "$fsid"
  monmaptool -c "$CONF" --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$mp]" "$D/monmap" >/dev/null
  ceph-mon -c "$CONF" -i a --mkfs --monmap "$D/monmap" --keyring "$D/keyring" </dev/null >>"$D/log/mon.a.out" 2>&1 9>&- ||
    { tail "$D/log/mon.a.out" >&2; die "mon mkfs failed"; }
  launch mon.a ceph-mon -i a
  exec 9<&-

  timeout 40 ceph -c "$CONF" osd new "$uuid" 0 >>"$D/log/osd.0.out" 2>&1 || die "the mon does not answer; see $D/log"
  ceph-osd -c "$CONF" -i 0 --mkfs --osd-uuid "$uuid" </dev/null >>"$D/log/osd.0.out" 2>&1 ||
    { tail "$D/log/osd.0.out" >&2; die "osd mkfs failed"; }
  launch osd.0 ceph-osd -i 0
  timeout 60 radosgw-admin -c "$CONF" user create --uid=archive --display-name=archive \
    --access-key="${RGW_ACCESS_KEY:-archive}" --secret-key="${RGW_SECRET_KEY:-archive-secret}" \
    >>"$D/log/client.rgw.out" 2>&1 </dev/null || { tail "$D/log/client.rgw.out" >&2; die "no S3 user"; }
  launch client.rgw radosgw -n client.rgw
  wait_s3 ping 40; wait_s3 warm 40
  echo "http://127.0.0.1:$port"
}

v_resume() {
  setdir "${1:-}"; ours
  if [ "$(store)" = memstore ] && ! pid_of osd.0 >/dev/null; then die "a memstore cluster cannot be resumed; use start"; fi
  launch mon.a ceph-mon -i a; launch osd.0 ceph-osd -i 0; launch client.rgw radosgw -n client.rgw
  wait_s3 ping 60
  echo "http://127.0.0.1:$(port)"
}

v_stop() {
  setdir "${1:-}"; local n
  [ -f "$D/.rgw-sh" ] || { say "nothing to stop in $D"; return 0; }
  if [ "${2:-}" = rgw ]; then halt client.rgw; return 0; fi
  for n in client.rgw osd.0 mon.a; do halt "$n"; done
}

v_status() {
  setdir "${1:-}"; ours; local n p rc=0
  for n in $daemons; do
    if p=$(pid_of "$n"); then echo "$n pid $p rss $(awk '/^VmRSS/{print int($2/1024)}' "/proc/$p/status") MiB"
    else echo "$n down"; rc=1; fi
  done
  if s3 ping >/dev/null 2>&1; then echo "s3 up http://127.0.0.1:$(port)"; else echo "s3 down"; rc=1; fi
  return $rc
}

verb=${1:-}; [ $# -gt 0 ] && shift
case $verb in
  install|start|stop|resume|status) "v_$verb" "$@";;
  admin) setdir "${1:-}"; ours; shift; exec radosgw-admin -c "$CONF" "$@";;
  ceph)  setdir "${1:-}"; ours; shift; exec ceph -c "$CONF" "$@";;
  *) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$SELF" >&2; exit 2;;
esac
