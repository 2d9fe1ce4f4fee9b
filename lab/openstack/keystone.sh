# shellcheck shell=bash disable=SC2153,SC2154
# Keystone (identity, v3): one uwsgi process.

keystone_config() {
  mkdir -p /etc/keystone
  cat > /etc/keystone/keystone.conf <<E
[DEFAULT]
transport_url = $(mq_url)
use_stderr = true
[database]
connection = $(db_url keystone)
[token]
provider = fernet
expiration = 86400
[fernet_tokens]
key_repository = $RUN/keystone/fernet
[fernet_receipts]
key_repository = $RUN/keystone/fernet
[credential]
key_repository = $RUN/keystone/credential
[identity]
# what bcrypt can take; more than that and it warns at every login
max_password_length = 72
[cache]
enabled = true
backend = dogpile.cache.memcached
memcache_servers = $IP:$MEMCACHED_PORT
[oslo_messaging_notifications]
driver = noop
E
}

keystone_setup() {                          # once: tables, keys, the admin user and endpoint
  mkdir -p "$RUN/keystone"/{fernet,credential}; chmod 700 "$RUN/keystone"/{fernet,credential}
  fresh_database keystone
  keystone-manage db_sync
  keystone-manage fernet_setup --keystone-user root --keystone-group root
  keystone-manage credential_setup --keystone-user root --keystone-group root
  local url=http://$IP:$KEYSTONE_PORT/v3
  OS_BOOTSTRAP_PASSWORD=$ADMIN_PASS keystone-manage bootstrap --bootstrap-region-id RegionOne \
    --bootstrap-public-url "$url" --bootstrap-internal-url "$url" --bootstrap-admin-url "$url"
}

keystone_start() {
  start keystone uwsgi_python3 --http-socket "$IP":"$KEYSTONE_PORT" --wsgi-file /usr/bin/keystone-wsgi-public \
    --master --die-on-term --lazy-apps --enable-threads --processes 1 --threads 8 \
    --buffer-size 65535 --rem-header Content-Length --disable-logging
}
