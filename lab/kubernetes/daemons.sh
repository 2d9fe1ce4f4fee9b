# shellcheck shell=bash
# How each daemon of the cluster is started. Sourced, never run; each does nothing if it runs already.

start_node() {
  local pid
  if ! alive node; then
    stop forward                                 # it is in the network of the node before
    rm -f "$RUN/node.ready"
    start node unshare --pid --fork --kill-child --mount --net --uts --ipc --mount-proc --propagation slave \
      "$here/node-init"
  fi
  wait_for 20 node test -e "$RUN/node.ready"
  read -r pid _ < "$RUN/pid/node"
  ps -o pid= --ppid "$pid" | tr -d ' ' > "$RUN/node.pid"
}

start_forward() {
  start forward /usr/bin/python3 "$here/forward.py" "$(node_pid)" "$API_PORT:6443" \
    "$INGRESS_PORT:$INGRESS_PORT" "$REGISTRY_PORT:$NODE_REGISTRY_PORT"
  wait_for 10 forward port_open "$REGISTRY_PORT"
}

start_etcd() {
  start_in_node etcd "$DEBS/usr/bin/etcd" --name lab --data-dir "$RUN/etcd" --logger zap --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster lab=http://127.0.0.1:2380 --unsafe-no-fsync
}

start_registry() {
  start_in_node registry env OTEL_TRACES_EXPORTER=none "$DEBS/usr/bin/docker-registry" serve "$CONF/registry.yml"
  # Its configuration may be newer. (A HUP right after its start would end it.)
  if alive registry-front; then kill -HUP "$(cut -d' ' -f1 "$RUN/pid/registry-front")"; fi
  start_in_node registry-front "$DEBS/usr/sbin/nginx" -p "$RUN/front" -e stderr -c "$CONF/front.conf"
  wait_for 30 registry-front curl -fsS --max-time 5 "http://$IP:$REGISTRY_PORT/v2/"
}

start_apiserver() {
  start_in_node kube-apiserver "$BIN/kube-apiserver" --etcd-servers http://127.0.0.1:2379 \
    --bind-address 0.0.0.0 --secure-port 6443 --insecure-port 0 --advertise-address "$NODE_IP" \
    --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" \
    --client-ca-file "$PKI/ca.crt" --authorization-mode Node,RBAC \
    --enable-admission-plugins NodeRestriction --service-cluster-ip-range "$SERVICE_CIDR" \
    --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file "$PKI/service-accounts.pub" \
    --service-account-signing-key-file "$PKI/service-accounts.key" \
    --kubelet-certificate-authority "$PKI/ca.crt" \
    --kubelet-client-certificate "$PKI/apiserver-to-kubelet.crt" \
    --kubelet-client-key "$PKI/apiserver-to-kubelet.key" --kubelet-preferred-address-types InternalIP
  wait_for 90 kube-apiserver api_ready
}

start_controllers() {
  start_in_node kube-controller-manager "$BIN/kube-controller-manager" --port 0 --leader-elect=false \
    --kubeconfig "$CONF/controller-manager.kubeconfig" --use-service-account-credentials \
    --service-account-private-key-file "$PKI/service-accounts.key" --root-ca-file "$PKI/ca.crt" \
    --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key"
  start_in_node kube-scheduler "$BIN/kube-scheduler" --port 0 --leader-elect=false \
    --kubeconfig "$CONF/scheduler.kubeconfig"
}

start_workers() {
  start_in_node containerd "$DEBS/usr/bin/containerd" --config "$CONF/containerd.toml"
  start_in_node dnsmasq /usr/sbin/dnsmasq --keep-in-foreground --user=root --pid-file= --conf-file=/dev/null \
    --no-resolv --no-hosts --hostsdir="$RUN/dns" --local=/cluster.local/ \
    --listen-address="$DNS_ADDRESS" --bind-interfaces --log-facility=-
  wait_for 30 containerd in_node test -S /run/containerd/containerd.sock
  start_in_node kubelet "$BIN/kubelet" --config "$CONF/kubelet.yml" --kubeconfig "$CONF/kubelet.kubeconfig" \
    --root-dir "$RUN/kubelet" --cert-dir "$RUN/kubelet/pki" --node-ip "$NODE_IP" \
    --hostname-override "$NODE_NAME" --container-runtime remote \
    --container-runtime-endpoint unix:///run/containerd/containerd.sock
  wait_for 60 kubelet k get node "$NODE_NAME"
  start_in_node kube-proxy "$BIN/kube-proxy" --config "$CONF/proxy.yml"
  export PYTHONDONTWRITEBYTECODE=1
  start_in_node policies /usr/bin/python3 "$here/policies.py" --api https://127.0.0.1:6443 --pki "$PKI" \
    --pods "$POD_CIDR" --pod "kube-system,k8s-app=kube-dns,$DNS_ADDRESS" \
    --pod "ingress-nginx,app.kubernetes.io/name=ingress-nginx,$INGRESS_ADDRESS"
  start_in_node ingress /usr/bin/python3 "$here/ingress.py" --api https://127.0.0.1:6443 --pki "$PKI" \
    --address "$INGRESS_ADDRESS" --port "$INGRESS_PORT" --state "$RUN/ingress" --dns "$RUN/dns" --log "$LOG/ingress-access.log" \
    --nginx "$DEBS/usr/sbin/nginx" --mime "$DEBS/etc/nginx/mime.types"
}
