# shellcheck shell=bash disable=SC2034
# The Debian packages. Installed: tools and libraries, none of which starts anything.
PACKAGES=(
  iproute2 iptables conntrack util-linux procps  # the node's namespaces, and what kube-proxy calls
  containernetworking-plugins                    # the pods' network: bridge, host-local, portmap, loopback
  dnsmasq-base                                   # the cluster's DNS
  libseccomp2 libpcre2-8-0 libssl3 zlib1g        # libraries of runc and nginx
  openssl curl python3                           # keys; questions to the daemons; ingress, forwarder, images
  busybox-static gcc libc6-dev                   # what the test images are made of
)
# Unpacked into the cache: daemons that would start when installed or get in the way of the machine's
# own.
UNPACKED=(containerd runc docker-registry etcd-server nginx nginx-common)
# Only while the daemons are built: Go, gcc for `pause`, and the one library that is too old in the source
BUILD_PACKAGES=(golang-1.19-go golang-github-modern-go-reflect2-dev gcc libc6-dev binutils)

unpack_packages() {
  local archives deb
  if [ "$(cat "$DEBS/.unpacked" 2>/dev/null)" = "${UNPACKED[*]}" ]; then return; fi
  say "unpacking ${UNPACKED[*]}"
  mkdir -p "$DEBS"
  archives=$(mktemp -d "$CACHE/kubernetes/archives.XXXXXX")
  (cd "$archives" && timeout 300 apt-get -q -o APT::Sandbox::User=root download "${UNPACKED[@]}" \
    >> "$LOG/apt.log" 2>&1) || {
      timeout 300 apt-get -qq -o DPkg::Lock::Timeout=200 update >> "$LOG/apt.log" 2>&1
      (cd "$archives" && timeout 300 apt-get -q -o APT::Sandbox::User=root download "${UNPACKED[@]}" \
        >> "$LOG/apt.log" 2>&1) || { rm -rf "$archives"; die "downloading packages; see $LOG/apt.log"; }
    }
  for deb in "$archives"/*.deb; do dpkg-deb -x "$deb" "$DEBS"; done
  rm -rf "$archives"
  echo "${UNPACKED[*]}" > "$DEBS/.unpacked"
}

# kube-proxy, the kubelet and the network plugins call "iptables": give them the variant that works on
# every kernel, whatever the machine's own choice is
link_iptables() {
  local name
  mkdir -p "$CACHE/kubernetes/iptables"
  for name in {iptables,ip6tables}{,-save,-restore}; do
    ln -sfn "/usr/sbin/${name/tables/tables-legacy}" "$CACHE/kubernetes/iptables/$name"
  done
}

# The machine's own kubectl will do if it works. (Debian 12's crashes on every map that it writes, for the
# reason that build-kubernetes names.)
link_kubectl() {
  local own
  [ ! -x "$BIN/kubectl" ] || return 0
  for own in /usr/local/bin/kubectl /usr/bin/kubectl; do
    if "$own" --kubeconfig "$RUN/try" config set-credentials someone --username a --password b > /dev/null 2>&1; then
      ln -sfn "$own" "$BIN/kubectl"
      break
    fi
  done
  rm -f "$RUN/try"
}
