#!/bin/bash
# dcmtk, the reference implementation's command line: storescu, findscu, movescu, getscu, echoscu, dcmdump.
#
#   dcmtk.sh check      exit status 0 and its version when all tools are there
#   dcmtk.sh install
set -euo pipefail
case ${1:-} in
  install) exec "$(dirname "$(readlink -f "$0")")/install.sh" dcmtk;;
  check)
    for tool in echoscu storescu storescp findscu movescu getscu dcmdump; do
      command -v $tool >/dev/null || { echo "dcmtk.sh: $tool is missing; run '$0 install'" >&2; exit 1; }
    done
    storescu --version | sed -n '1s/^\$dcmtk: //p';;
  *) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2;;
esac
