# shellcheck shell=bash
# Helpers shared by everything in lab/. Sourced, never run. The part that sources it sets
#   PART   openstack | mysql | kubernetes
# and gets RUN, the directory for that part's state, logs, pids and credentials.

LAB_DIR=${FASTCLOUD_LAB_DIR:-/var/lib/fastcloud-lab}
# shellcheck disable=SC2034  # used by those who source this
CACHE=${FASTCLOUD_LAB_CACHE:-/var/cache/fastcloud-lab}       # survives down --purge
RUN=$LAB_DIR/${PART:?set by the caller}
IP=127.0.0.1                                     # everything listens here and nowhere else

# Debian's Python and tools only, with byte code, whatever the caller's environment is
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
export DEBIAN_FRONTEND=noninteractive
unset PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_FIND_LINKS
for v in http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY ${!OS_*}; do unset "$v"; done
ulimit -n "$(ulimit -Hn)" || true

say() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }
die() { printf '[%4ds] FAILED: %s\n' "$SECONDS" "$*" >&2; exit 1; }

# stage TEXT: ends the stage before and prints how long it took
STAGE='' STAGE_AT=0
stage() {
  [ -z "$STAGE" ] || say "  $STAGE: $((SECONDS - STAGE_AT)) s"
  STAGE=${1:-} STAGE_AT=$SECONDS
  [ -z "$STAGE" ] || say "$STAGE ..."
}

# begin: what up and down of a part do first
begin() {
  [ "$(id -u)" = 0 ] || die "this has to run as root"
  umask 022
  mkdir -p "$RUN"/{log,pid,done}
  cd "$RUN" || die "no $RUN"                      # where a crashing service leaves its dump
  exec 9> "$RUN/lock"                            # one up or down at a time
  flock -w 900 9 || die "another up or down has held $RUN/lock for 15 minutes"
  trap 'die "$BASH_COMMAND (${BASH_SOURCE[0]}:$LINENO); the logs are in $RUN/log/"' ERR
}

# once NAME CMD...: runs CMD unless it already succeeded once in this lab
once() {
  local mark=$RUN/done/$1; shift
  [ ! -e "$mark" ] || return 0
  "$@"                                           # not "$@" && ...: that would switch errexit off in it
  touch "$mark"
}

# --- Debian packages: installed without starting anything -----------------------------------
install_packages() {                             # install_packages NAME...
  local p missing='' rc=0 policy=/usr/sbin/policy-rc.d mine='' release
  for p in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing+=" $p"
  done
  [ -n "$missing" ] || return 0
  say "installing$missing"
  # A run that was interrupted half way leaves packages unpacked and not configured
  timeout 900 dpkg --configure -a --force-confdef >> "$RUN/log/apt.log" 2>&1 < /dev/null || true
  timeout 300 apt-get -qq -o DPkg::Lock::Timeout=200 update >> "$RUN/log/apt.log" 2>&1 ||
    say "apt-get update failed; going on with the lists that are here (see $RUN/log/apt.log)"
  # A qemu-utils newer than this release (from backports) would keep qemu-system-x86 out
  release=$(. /etc/os-release; echo "$VERSION_CODENAME")
  missing=${missing/ qemu-system-x86/ qemu-system-x86 qemu-utils/$release}
  [ -e $policy ] || { mine=1; printf '#!/bin/sh\nexit 101\n' > $policy; chmod +x $policy; }
  # no fsync for each file, no manuals: a third less time
  # shellcheck disable=SC2086  # a list
  timeout 1500 apt-get -y -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-unsafe-io -o Dpkg::Options::=--force-confdef \
    -o Dpkg::Options::=--path-exclude='/usr/share/doc/*' -o Dpkg::Options::=--path-exclude='/usr/share/man/*' \
    -o Dpkg::Options::=--path-exclude='/usr/share/locale/*' \
    --allow-downgrades --no-install-recommends install $missing >> "$RUN/log/apt.log" 2>&1 < /dev/null || rc=$?
  [ -z "$mine" ] || rm -f $policy
  [ $rc = 0 ] || die "apt-get install (exit code $rc); see $RUN/log/apt.log"
}

# --- processes: a recorded pid counts only while its start time is the recorded one ---------
# started_at PID: nothing for a process that has ended and that nobody has asked about yet
started_at() { sed -n 's/.*) \([^XZ] .*\)/\1/p' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
alive() {                                        # alive NAME
  local pid at
  { read -r pid at < "$RUN/pid/$1"; } 2>/dev/null && [ -n "$at" ] && [ "$(started_at "$pid")" = "$at" ]
}
# What is left of NAME's process group when its leader was killed: workers that would keep the port.
# Only while no process has the leader's number, which nobody else can get as long as the group exists.
reap() {                                         # reap NAME
  local pid
  { read -r pid _ < "$RUN/pid/$1"; } 2>/dev/null || return 0
  if [ -n "$pid" ] && [ -z "$(started_at "$pid")" ]; then kill -KILL -- "-$pid" 2>/dev/null || true; fi
}
fresh_log() {                                    # fresh_log NAME CMD...: before NAME starts
  reap "$1"
  # keep the last run's log, but not all of them
  if [ "$(stat -c %s "$RUN/log/$1.log" 2>/dev/null || echo 0)" -gt 20000000 ]; then
    mv "$RUN/log/$1.log" "$RUN/log/$1.log.1"
  fi
  echo "=== $(date -Is) ${*:2}" >> "$RUN/log/$1.log"
}
start() {                                        # start NAME CMD...: in the background, once
  local name=$1 pid; shift
  if alive "$name"; then return; fi
  fresh_log "$name" "$@"
  setsid "$@" >> "$RUN/log/$name.log" 2>&1 < /dev/null 9>&- &
  pid=$!
  echo "$pid $(started_at $pid)" > "$RUN/pid/$name"
}
stop() {                                         # stop NAME: TERM to its process group, KILL after 15 s
  local name=$1 pid at
  if alive "$name"; then
    read -r pid at < "$RUN/pid/$name"
    kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null || true
    for _ in {1..75}; do alive "$name" || break; sleep 0.2; done
    if alive "$name"; then kill -KILL -- "-$pid" 2>/dev/null || true; fi
  fi
  reap "$name"
  rm -f "$RUN/pid/$name"
}
started() { ls "$RUN/pid" 2>/dev/null || true; }  # names of everything that was started

# all_alive: dies and names the log if something that was started has ended (another program has its port?)
all_alive() {
  local name
  for name in $(started); do alive "$name" || die "$name ended; see $RUN/log/$name.log"; done
}

# wait_for SECONDS NAME CMD...: until CMD succeeds; NAME is the process that makes it so
wait_for() {
  local until=$((SECONDS + $1)) name=$2; shift 2
  until "$@" > /dev/null 2>&1; do
    alive "$name" || die "$name ended; see $RUN/log/$name.log"
    [ $SECONDS -lt $until ] || die "$name did not come up in time; see $RUN/log/$name.log"
    sleep 0.3
  done
}
answers() { curl -s -o /dev/null --max-time 5 "http://$IP:$1/"; }      # any HTTP answer will do
port_open() { (exec 3<> "/dev/tcp/$IP/$1") 2>/dev/null; }

# status_row NAME PORT HEALTH: one line of the table of `lab/status`; false unless HEALTH is ok
status_row() {
  local name=$1 port=$2 health=$3 pid=- since=-
  if alive "$name"; then
    read -r pid _ < "$RUN/pid/$name"
    since=$(date -d "$(ps -o lstart= -p "$pid")" '+%m-%d %H:%M:%S')
  else
    health=stopped
  fi
  printf '%-10s %-28s %-7s %-8s %-15s %s\n' "$PART" "$name" "$port" "$pid" "$since" "$health"
  [ "$health" = ok ]
}
