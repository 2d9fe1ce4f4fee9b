# shellcheck shell=bash disable=SC2153,SC2154
# Neutron (networks): ML2 with Linux bridges (no openvswitch module is needed), DHCP, metadata, L3.
# Tenant networks are of type "local": a bridge on this machine. The way out of them is a router
# to ext-net, whose "outside" is a network namespace of the lab.

neutron_config() {
  mkdir -p "$RUN/neutron"
  cat > /etc/neutron/neutron.conf <<E
[DEFAULT]
bind_host = $IP
bind_port = $NEUTRON_PORT
api_workers = 2
rpc_workers = 0
rpc_state_report_workers = 0
use_stderr = true
state_path = $RUN/neutron
core_plugin = ml2
service_plugins = router
transport_url = $(mq_url)
rpc_response_timeout = 20
notify_nova_on_port_status_changes = true
notify_nova_on_port_data_changes = true
[agent]
# the agents run as root already
root_helper = env
report_interval = 15
[database]
connection = $(db_url neutron)
[oslo_concurrency]
lock_path = $RUN/neutron/lock
[oslo_messaging_notifications]
driver = noop
[quotas]
quota_network = 10
quota_subnet = 10
quota_port = 50
quota_floatingip = 20
[experimental]
# the Linux bridge driver has to be asked for since Zed
linuxbridge = true
$(keystone_auth nova nova)
$(keystone_auth placement placement)
$(keystone_auth keystone_authtoken neutron)
E
  mkdir -p /etc/neutron/plugins/ml2
  cat > /etc/neutron/plugins/ml2/ml2_conf.ini <<E
[ml2]
type_drivers = local,flat,vlan
tenant_network_types = local
mechanism_drivers = linuxbridge
extension_drivers = port_security
[ml2_type_flat]
flat_networks = external
[linux_bridge]
bridge_mappings = external:$EXT_BRIDGE
[securitygroup]
enable_security_group = true
enable_ipset = true
firewall_driver = iptables
[vxlan]
enable_vxlan = false
E
  cat > /etc/neutron/dhcp_agent.ini <<E
[DEFAULT]
interface_driver = linuxbridge
enable_isolated_metadata = true
force_metadata = true
E
  # the DHCP ports serve the metadata, so routers need not
  cat > /etc/neutron/l3_agent.ini <<E
[DEFAULT]
interface_driver = linuxbridge
agent_mode = legacy
enable_metadata_proxy = false
E
  cat > /etc/neutron/metadata_agent.ini <<E
[DEFAULT]
nova_metadata_host = $IP
nova_metadata_port = $NOVA_METADATA_PORT
metadata_proxy_shared_secret = $METADATA_SECRET
metadata_workers = 0
E
}

neutron_setup() {
  fresh_database neutron
  neutron-db-manage --config-file /etc/neutron/neutron.conf \
    --config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade heads
}

# The external bridge, and the namespace that plays the outside world: its address is ext-net's
# gateway, so that it reaches floating addresses and they reach it. Remade after a reboot.
external_start() {
  if ! ip link show "$EXT_BRIDGE" > /dev/null 2>&1; then
    ip link add "$EXT_BRIDGE" type bridge stp_state 0 forward_delay 0
    sysctl -q -w "net.ipv6.conf.$EXT_BRIDGE.disable_ipv6=1" || true
  fi
  ip link set "$EXT_BRIDGE" up
  [ -e "/run/netns/$EXT_NS" ] || ip netns add "$EXT_NS"
  if ! ip -n "$EXT_NS" link show ext0 > /dev/null 2>&1; then
    ip link del fcext0 2> /dev/null || true
    ip link add fcext0 type veth peer name ext0 netns "$EXT_NS"
  fi
  ip link set fcext0 master "$EXT_BRIDGE" up
  ip -n "$EXT_NS" link set lo up
  ip -n "$EXT_NS" link set ext0 up
  ip -n "$EXT_NS" addr replace "$EXT_GATEWAY/${EXT_CIDR#*/}" dev ext0
}

neutron_start() {
  local conf=(--config-file /etc/neutron/neutron.conf) ml2=/etc/neutron/plugins/ml2/ml2_conf.ini
  external_start
  start neutron-server neutron-server "${conf[@]}" --config-file $ml2
}

neutron_agents_start() {
  local conf=(--config-file /etc/neutron/neutron.conf) ml2=/etc/neutron/plugins/ml2/ml2_conf.ini
  # An agent's first call is lost, and waited for in vain, when the server is not there yet
  wait_for 180 neutron-server answers "$NEUTRON_PORT"
  start neutron-linuxbridge-agent neutron-linuxbridge-agent "${conf[@]}" --config-file $ml2
  start neutron-dhcp-agent neutron-dhcp-agent "${conf[@]}" --config-file /etc/neutron/dhcp_agent.ini
  start neutron-l3-agent neutron-l3-agent "${conf[@]}" --config-file /etc/neutron/l3_agent.ini
  start neutron-metadata-agent neutron-metadata-agent "${conf[@]}" --config-file /etc/neutron/metadata_agent.ini
  start neutron-fake-agent /usr/bin/python3 "$here/fake-agent.py" "$FAKE_HOST" "${conf[@]}"
}

# dnsmasq and haproxy are daemons of the DHCP agent, with pid files of their own
neutron_stop_helpers() {
  local f
  for f in "$RUN"/neutron/dhcp/*/pid "$RUN"/neutron/external/pids/*; do
    [ -f "$f" ] || continue
    # the pid may be another program's by now: after a reboot, say
    if tr '\0' ' ' < "/proc/$(cat "$f")/cmdline" 2>/dev/null | grep -q "$RUN/neutron"; then
      kill "$(cat "$f")" 2>/dev/null || true
    fi
    rm -f "$f"
  done
}

# Namespaces, bridges and taps that the agents left behind (down --purge)
neutron_purge() {
  local d
  for d in $(ip netns list | awk '/^(qdhcp|qrouter)-/ {print $1}'); do ip netns del "$d"; done
  for d in $(ip -o link show type bridge | grep -o 'brq[0-9a-f-]*'); do ip link del "$d"; done
  if [ -e "/run/netns/$EXT_NS" ]; then ip netns del "$EXT_NS"; fi
  ip link del "$EXT_BRIDGE" 2> /dev/null || true
}
