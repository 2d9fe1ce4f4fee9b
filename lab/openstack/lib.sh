# shellcheck shell=bash disable=SC2034
# Settings and helpers of the OpenStack part. Sourced, never run.
PART=openstack
. "$here/../lib.sh"

VIRT=${FASTCLOUD_LAB_VIRT:-qemu}                 # qemu (emulation) | kvm | fake (no guests at all)
INSTANCES=${FASTCLOUD_LAB_INSTANCES:-6}          # quota of project fastcloud

# Ports, all on $IP
DB_PORT=13306 MQ_PORT=5672 EPMD_PORT=14369 MQ_DIST_PORT=25672 MEMCACHED_PORT=11211
KEYSTONE_PORT=5000 GLANCE_PORT=9292 PLACEMENT_PORT=8778 NEUTRON_PORT=9696
NOVA_PORT=8774 NOVA_METADATA_PORT=8775 NOVNC_PORT=6080
SWIFT_PORT=8085 SWIFT_OBJECT_PORT=6200 SWIFT_CONTAINER_PORT=6201 SWIFT_ACCOUNT_PORT=6202

# The external side: a bridge that Neutron's ext-net is on, and a network namespace beside it
# that plays the outside world. None of it touches the machine's own interfaces.
EXT_BRIDGE=br-fcext EXT_NS=fc-ext EXT_CIDR=172.24.4.0/24 EXT_GATEWAY=172.24.4.1
LAB_CIDR=10.99.0.0/24 SCALE_CIDR=10.98.0.0/22
FAKE_HOST=fake-host                              # the host name of the compute with Nova's fake driver

sql() { mariadb --socket="$RUN/mysql/mysql.sock" -uroot "$@"; }
# fresh_database NAME: an empty one. Only a service that is not set up yet asks for it: half of the
# tables, left by an interrupted first run, cannot be completed.
fresh_database() {
  sql -e "DROP DATABASE IF EXISTS $1; CREATE DATABASE $1 CHARACTER SET utf8;
          GRANT ALL ON $1.* TO 'openstack'@'%' IDENTIFIED BY '$DB_PASS';"
}
db_url() { echo "mysql+pymysql://openstack:$DB_PASS@$IP:$DB_PORT/$1?charset=utf8"; }
mq_url() { echo "rabbit://openstack:$MQ_PASS@$IP:$MQ_PORT/"; }

# The part of a service's configuration that says how it checks tokens: keystone_auth SECTION USER
keystone_auth() {
  cat <<E
[$1]
auth_type = password
auth_url = http://$IP:$KEYSTONE_PORT/v3
www_authenticate_uri = http://$IP:$KEYSTONE_PORT/v3
memcached_servers = $IP:$MEMCACHED_PORT
username = $2
password = $SERVICE_PASS
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = RegionOne
service_token_roles_required = true
E
}
