#!/bin/bash
# Orthanc with its DICOMweb plugin on loopback: the PACS that tests let talk with Firn, and the benchmark's peer.
#
#   orthanc.sh install
#   orthanc.sh start DIR HTTPPORT DIMSEPORT    prints its URL; keeps what DIR holds from an earlier start
#   orthanc.sh stop DIR
#   orthanc.sh status DIR                      exit status 0 when it answers
#   orthanc.sh pid DIR
#
# It is AE title ORTHANC, DICOMweb is at /dicom-web/. Environment for start, so that it knows Firn as its peer:
#   FIRN_URL (default http://127.0.0.1:8080/dicom-web/)   DICOMweb server `firn`
#   FIRN_TOKEN                                            bearer token for it
#   FIRN_DIMSE (default 127.0.0.1:11112)                  DICOM modality `firn`
#   FIRN_AET (default FIRN)
#   ORTHANC_SYNC (default true)                           whether it syncs what it stores
set -euo pipefail
export LC_ALL=C
die() { echo "orthanc.sh: $*" >&2; exit 1; }

verb=${1:-}
[ "$verb" = install ] && exec "$(dirname "$(readlink -f "$0")")/install.sh" orthanc
[ $# -ge 2 ] || { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
dir=$(readlink -m "$2")
case $dir in /|/tmp|/root|/home|/var|/etc|/usr) die "refusing DIR $dir";; esac

program() { command -v Orthanc || { [ -x /usr/sbin/Orthanc ] && echo /usr/sbin/Orthanc; }; }

# The process in DIR's pid file, if it lives and is really this Orthanc.
pid() {
  local p; p=$(cat "$dir/orthanc.pid" 2>/dev/null) || return 1
  tr '\0' '\n' <"/proc/$p/cmdline" 2>/dev/null | grep -qxF "$dir/orthanc.json" && echo "$p"
}
answers() { pid >/dev/null && curl -fsS -m 5 -o /dev/null "http://127.0.0.1:$(cat "$dir/http-port")/system" 2>/dev/null; }

write_config() { # HTTPPORT DIMSEPORT
  local dimse=${FIRN_DIMSE:-127.0.0.1:11112} headers='{}'
  [ -z "${FIRN_TOKEN:-}" ] || headers="{ \"Authorization\": \"Bearer $FIRN_TOKEN\" }"
  cat >"$dir/orthanc.json" <<JSON
{ "Name": "PEER", "StorageDirectory": "$dir/db", "IndexDirectory": "$dir/db",
  "HttpPort": $1, "DicomPort": $2, "DicomAet": "ORTHANC",
  "RemoteAccessAllowed": true, "AuthenticationEnabled": false, "HttpDescribeErrors": true,
  "DicomCheckCalledAet": false, "DicomAlwaysAllowStore": true, "UnknownSopClassAccepted": true,
  "Plugins": ["/usr/share/orthanc/plugins"],
  "DicomWeb": { "Enable": true, "Root": "/dicom-web/",
    "Servers": { "firn": { "Url": "${FIRN_URL:-http://127.0.0.1:8080/dicom-web/}", "HttpHeaders": $headers,
      "HasDelete": false, "ChunkedTransfers": true, "HasWadoRsUniversalTransferSyntax": true } } },
  "DicomModalities": { "firn": { "AET": "${FIRN_AET:-FIRN}", "Host": "${dimse%:*}", "Port": ${dimse##*:},
    "AllowEcho": true, "AllowFind": true, "AllowMove": true, "AllowGet": true, "AllowStore": true } },
  "StorageCompression": false, "SyncStorageArea": ${ORTHANC_SYNC:-true}, "OverwriteInstances": false,
  "ConcurrentJobs": 2, "HttpThreadsCount": 20, "DicomThreadsCount": 4, "StableAge": 600 }
JSON
}

start() {
  local orthanc p
  [ $# = 2 ] || die 'usage: start DIR HTTPPORT DIMSEPORT'
  orthanc=$(program) || die "Orthanc is not installed; run '$0 install'"
  if ! answers; then
    mkdir -p "$dir/db"
    echo "$1" >"$dir/http-port"
    write_config "$1" "$2"
    (cd "$dir" && exec setsid "$orthanc" "$dir/orthanc.json" </dev/null >>"$dir/orthanc.log" 2>&1) &
    p=$!
    echo "$p" >"$dir/orthanc.pid"
    for _ in $(seq 300); do
      answers && break
      kill -0 "$p" 2>/dev/null || { tail -n 20 "$dir/orthanc.log" >&2; die 'it did not start'; }
      sleep 0.1
    done
    answers || die "no answer; see $dir/orthanc.log"
  fi
  echo "http://127.0.0.1:$(cat "$dir/http-port")"
}

stop() {
  local p
  p=$(pid) || return 0
  kill -TERM "$p"
  for _ in $(seq 200); do pid >/dev/null || { rm -f "$dir/orthanc.pid"; return 0; }; sleep 0.1; done
  kill -KILL "$p"
  rm -f "$dir/orthanc.pid"
}

shift 2
case $verb in
  start) start "$@";;
  stop) stop;;
  status) answers;;
  pid) pid;;
  *) die "unknown verb $verb";;
esac
