# shellcheck shell=bash disable=SC2153,SC2154
# Nova (virtual machines): API and metadata, scheduler, conductor, compute, noVNC proxy; libvirt.

nova_config() {
  mkdir -p "$RUN/nova/instances"
  local driver=libvirt.LibvirtDriver
  [ "$VIRT" != fake ] || driver=fake.FakeDriver
  cat > /etc/nova/nova.conf <<E
[DEFAULT]
my_ip = $IP
host = $(hostname)
state_path = $RUN/nova
instances_path = $RUN/nova/instances
transport_url = $(mq_url)
use_stderr = true
enabled_apis = osapi_compute,metadata
osapi_compute_listen = $IP
osapi_compute_listen_port = $NOVA_PORT
osapi_compute_workers = 1
metadata_listen = $IP
metadata_listen_port = $NOVA_METADATA_PORT
metadata_workers = 1
compute_driver = $driver
# guests that ran before "down" run again after "up"
resume_guests_state_on_host_boot = true
# stop and soft reboot give the guest this long to shut down by itself
shutdown_timeout = 20
reserved_host_memory_mb = 512
initial_cpu_allocation_ratio = 16.0
# guests use a small part of what their flavors promise, and their disks are sparse
initial_ram_allocation_ratio = 4.0
initial_disk_allocation_ratio = 8.0
allow_resize_to_same_host = true
vif_plugging_timeout = 60
[api_database]
connection = $(db_url nova_api)
[database]
connection = $(db_url nova)
[api]
auth_strategy = keystone
[conductor]
workers = 1
[scheduler]
workers = 1
# hosts of an aggregate that asks for a trait take only flavors that ask for it too (fake-host)
enable_isolated_aggregate_filtering = true
[quota]
key_pairs = 100

[glance]
api_servers = http://$IP:$GLANCE_PORT
[oslo_concurrency]
lock_path = $RUN/nova/lock
[oslo_messaging_notifications]
driver = noop
[vnc]
enabled = true
server_listen = $IP
server_proxyclient_address = $IP
novncproxy_host = $IP
novncproxy_port = $NOVNC_PORT
novncproxy_base_url = http://$IP:$NOVNC_PORT/vnc_auto.html
[libvirt]
virt_type = ${VIRT/fake/qemu}
connection_uri = qemu+unix:///system?socket=$RUN/libvirt/libvirt-sock
cpu_mode = $([ "$VIRT" = kvm ] && echo host-passthrough || echo none)
images_type = qcow2
$(keystone_auth neutron neutron)
service_metadata_proxy = true
metadata_proxy_shared_secret = $METADATA_SECRET
$(keystone_auth placement placement)
$(keystone_auth service_user nova)
send_service_user_token = true
$(keystone_auth keystone_authtoken nova)
E
  fake_config
}

# A second compute beside it, with Nova's fake driver: its servers exist in Nova and Neutron only.
# Read after nova.conf, whose settings it overrides.
fake_config() {
  mkdir -p "$RUN/nova-fake/instances"
  cat > /etc/nova/nova-fake-host.conf <<E
[DEFAULT]
host = $FAKE_HOST
state_path = $RUN/nova-fake
instances_path = $RUN/nova-fake/instances
compute_driver = fake.FakeDriver
resume_guests_state_on_host_boot = false
heal_instance_info_cache_interval = -1
reserved_host_memory_mb = 0
[oslo_concurrency]
lock_path = $RUN/nova-fake/lock
[vnc]
enabled = false
E
}

libvirt_config() {
  mkdir -p "$RUN/libvirt"
  # no cgroups, no security driver, no log daemon: what libvirt would get from systemd
  cat > /etc/libvirt/qemu.conf <<E
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
max_core = "unlimited"
vnc_listen = "$IP"
E
  cat > "$RUN/libvirt/libvirtd.conf" <<E
unix_sock_dir = "$RUN/libvirt"
auth_unix_rw = "none"
log_outputs = "3:stderr"
E
  rm -f /etc/libvirt/qemu/networks/autostart/default.xml   # no virbr0: Neutron makes the networks
}

nova_setup() {
  fresh_database nova_api; fresh_database nova; fresh_database nova_cell0
  nova-manage api_db sync
  nova-manage cell_v2 map_cell0
  nova-manage cell_v2 create_cell --name=cell1 || [ $? = 2 ]      # 2: there is one
  nova-manage db sync
}

NOVA_CONF=(--config-file /etc/nova/nova.conf)    # and not Debian's nova-compute.conf too

nova_start() {
  if [ "$VIRT" != fake ]; then
    libvirt_config
    start libvirtd libvirtd --config "$RUN/libvirt/libvirtd.conf" --pid-file "$RUN/libvirt/libvirtd.pid"
  fi
  start nova-conductor nova-conductor "${NOVA_CONF[@]}"
  start nova-scheduler nova-scheduler "${NOVA_CONF[@]}"
  start nova-api nova-api "${NOVA_CONF[@]}"
  start nova-novncproxy nova-novncproxy "${NOVA_CONF[@]}" --web /usr/share/novnc
}

# Later than the others: a compute that finds no conductor yet waits ten seconds for it
nova_compute_start() {
  [ "$VIRT" = fake ] || wait_for 30 libvirtd test -S "$RUN/libvirt/libvirt-sock"
  start nova-compute nova-compute "${NOVA_CONF[@]}"
  start nova-compute-fake /usr/bin/python3 "$here/fake-compute.py" "${NOVA_CONF[@]}" \
    --config-file /etc/nova/nova-fake-host.conf
}

# virsh on this lab's libvirtd
lab_virsh() { virsh -q -c "qemu+unix:///system?socket=$RUN/libvirt/libvirt-sock" "$@"; }

nova_stop_guests() {
  local d
  alive libvirtd || return 0
  for d in $(lab_virsh list --name | grep '^instance-'); do lab_virsh destroy "$d" > /dev/null || true; done
}
