# shellcheck shell=bash disable=SC2034
# Settings and helpers of the Kubernetes part. Sourced, never run.
PART=kubernetes
. "$here/../lib.sh"

# What the machine sees, all on $IP
API_PORT=6443 INGRESS_PORT=8088 REGISTRY_PORT=5050

# What exists only inside the node's own network namespace
NODE_NAME=lab-node NODE_IP=10.99.0.1
POD_CIDR=10.244.0.0/24 SERVICE_CIDR=10.96.0.0/16 KUBERNETES_IP=10.96.0.1
DNS_IP=10.96.0.10                                # the Service kube-dns; in lab.yaml too
DNS_ADDRESS=10.99.0.53 INGRESS_ADDRESS=10.99.0.80  # what they have instead of a pod's address; in lab.yaml too
NODE_REGISTRY_PORT=5000 NODE_STORE_PORT=5001     # nginx in front, and docker-registry behind it
CGROUP=fastcloud-lab-kubernetes                  # parent of all pods in every cgroup v1 hierarchy
BASE_DOMAIN=apps.test INGRESS_CLASS=nginx

VERSION=1.20.2
BIN=$CACHE/kubernetes/bin                        # what build-kubernetes built
BINARIES=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl pause)
DEBS=$CACHE/kubernetes/debs                      # Debian's daemons, unpacked rather than installed
PKI=$RUN/pki CONF=$RUN/conf LOG=$RUN/log
ADMIN=$RUN/admin.kubeconfig PORTAL=$RUN/fastcloud.kubeconfig

export PATH=$CACHE/kubernetes/iptables:$BIN:$DEBS/usr/bin:$DEBS/usr/sbin:$PATH
unset KUBECONFIG

# kubectl as the cluster's administrator, and as the portal
kubectl_as() { local config=$1; shift; timeout 120 kubectl --kubeconfig "$config" --cache-dir "$RUN/kubectl" "$@" 9>&-; }
k() { kubectl_as "$ADMIN" "$@"; }
portal() { kubectl_as "$PORTAL" "$@"; }

# --- the node: a set of namespaces (pid, mount, network, uts, ipc) whose first process is node-init ------
node_pid() { cat "$RUN/node.pid" 2>/dev/null; }                # as the machine sees it
in_node() { nsenter --target "$(node_pid)" --mount --net --pid --uts --ipc -- "$@"; }

# start_in_node NAME CMD...: as lib.sh's start, and just so it records the pid that the machine sees.
# The process writes it itself before it becomes CMD: descriptor 7 is the machine's /proc, in which
# "self" is the machine's number for it.
start_in_node() {
  local name=$1; shift
  if alive "$name"; then return; fi
  fresh_log "$name" "$@"
  rm -f "$RUN/pid/$name"
  # shellcheck disable=SC2016  # for the shell in there
  in_node setsid --fork bash -c '
    read -r pid rest < /proc/self/fd/7/self/stat
    read -ra rest <<< "${rest##*) }"
    echo "$pid ${rest[19]}" > "$1"
    shift; exec 7<&- "$@"
  ' _ "$RUN/pid/$name" "$@" >> "$RUN/log/$name.log" 2>&1 < /dev/null 7< /proc 9>&-
  for _ in {1..100}; do [ ! -s "$RUN/pid/$name" ] || return 0; sleep 0.05; done
  die "$name did not start; see $RUN/log/$name.log"
}
frozen() { alive "$1" && grep -qs '^State:[[:space:]]*T' "/proc/$(cut -d' ' -f1 "$RUN/pid/$1")/status"; }
kill_now() {                                     # kill_now NAME: no grace, connections are closed at once
  if alive "$1"; then kill -KILL "$(cut -d' ' -f1 "$RUN/pid/$1")"; fi
  stop "$1"
}
thaw() { if alive "$1"; then kill -CONT "$(cut -d' ' -f1 "$RUN/pid/$1")"; fi; }

# The kubelet has told since its start that the node is ready
node_ready() {
  local seen
  seen=$(k --request-timeout 5s get node "$NODE_NAME" -o \
    'jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.lastHeartbeatTime}{end}') || return
  [[ $seen == "True "* ]] && [ "$(date -d "${seen#* }" +%s)" -ge "$(stat -c %Y "$RUN/pid/kubelet")" ]
}
api_ready() { curl -fsS --max-time 5 --cacert "$PKI/ca.crt" "https://$IP:$API_PORT/readyz"; }
