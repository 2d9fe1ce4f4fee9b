# shellcheck shell=bash disable=SC2153,SC2154
# Placement (what compute resources exist and who uses them): one uwsgi process.

placement_config() {
  cat > /etc/placement/placement.conf <<E
[DEFAULT]
use_stderr = true
[placement_database]
connection = $(db_url placement)
[api]
auth_strategy = keystone
$(keystone_auth keystone_authtoken placement)
E
}

placement_setup() {
  fresh_database placement
  placement-manage db sync
}

placement_start() {
  start placement-api uwsgi_python3 --http-socket "$IP":"$PLACEMENT_PORT" --wsgi-file /usr/bin/placement-api \
    --master --die-on-term --lazy-apps --enable-threads --processes 1 --threads 4 \
    --buffer-size 65535 --rem-header Content-Length --disable-logging
}
