# shellcheck shell=bash disable=SC2153,SC2154
# Swift (object storage): one replica in a plain directory (any file system with user xattrs).

swift_config() {
  mkdir -p "$RUN/swift/data/d1" "$RUN/swift/cache"
  cat > /etc/swift/swift.conf <<E
[swift-hash]
swift_hash_path_suffix = $SWIFT_HASH
[storage-policy:0]
name = default
default = yes
E
  local common="bind_ip = $IP
workers = 0
user = root
swift_dir = /etc/swift
log_address = $RUN/swift/log.sock"
  cat > /etc/swift/proxy-server.conf <<E
[DEFAULT]
$common
bind_port = $SWIFT_PORT
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk tempurl formpost authtoken keystoneauth staticweb copy container-quotas account-quotas slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
delay_auth_decision = true
$(keystone_auth _ swift | grep -v '^\[')
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, member
reseller_admin_role = ResellerAdmin
[filter:cache]
use = egg:swift#memcache
memcache_servers = $IP:$MEMCACHED_PORT
$(for f in catch_errors gatekeeper healthcheck listing_formats bulk tempurl formpost staticweb \
           copy slo dlo versioned_writes symlink; do printf '[filter:%s]\nuse = egg:swift#%s\n' $f $f; done)
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:container-quotas]
use = egg:swift#container_quotas
[filter:account-quotas]
use = egg:swift#account_quotas
E
  local s port
  for s in account container object; do
    port=SWIFT_${s^^}_PORT
    cat > /etc/swift/$s-server.conf <<E
[DEFAULT]
$common
bind_port = ${!port}
devices = $RUN/swift/data
mount_check = false
recon_cache_path = $RUN/swift/cache
[pipeline:main]
pipeline = $s-server
[app:$s-server]
use = egg:swift#$s
$(if [ $s = container ]; then printf '[container-updater]\ninterval = 20\n'; fi)
E
  done
}

swift_setup() {                             # the rings: where the one device of each kind is
  local s port power
  for s in account container object; do
    port=SWIFT_${s^^}_PORT
    # the updater starts a process for each partition of containers, which takes a second of a core: one is enough
    power=4; [ $s != container ] || power=0
    rm -f /etc/swift/$s.{builder,ring.gz}
    swift-ring-builder /etc/swift/$s.builder create $power 1 0
    swift-ring-builder /etc/swift/$s.builder add r1z1-"$IP":"${!port}"/d1 1
    swift-ring-builder /etc/swift/$s.builder rebalance
  done
}

swift_start() {
  local s
  # Swift logs to syslog only (and to an UDP socket of its own where there is none)
  start swift-log socat -u "UNIX-RECV:$RUN/swift/log.sock,unlink-early" -
  wait_for 10 swift-log test -S "$RUN/swift/log.sock"
  for s in account container object proxy; do
    start swift-$s-server swift-$s-server /etc/swift/$s-server.conf
  done
  # brings the accounts' object and byte counts up to date
  start swift-container-updater swift-container-updater /etc/swift/container-server.conf
}
