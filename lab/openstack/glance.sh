# shellcheck shell=bash disable=SC2153,SC2154
# Glance (images): files under $RUN/glance.

glance_config() {
  mkdir -p "$RUN/glance"/{images,staging}
  cat > /etc/glance/glance-api.conf <<E
[DEFAULT]
bind_host = $IP
bind_port = $GLANCE_PORT
workers = 0
use_stderr = true
show_image_direct_url = true
node_staging_uri = file://$RUN/glance/staging
[database]
connection = $(db_url glance)
[glance_store]
stores = file,http
default_store = file
filesystem_store_datadir = $RUN/glance/images
[paste_deploy]
flavor = keystone
[oslo_messaging_notifications]
driver = noop
$(keystone_auth keystone_authtoken glance)
E
}

glance_setup() {
  fresh_database glance
  glance-manage db_sync
}

glance_start() { start glance-api glance-api; }
