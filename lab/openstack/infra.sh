# shellcheck shell=bash disable=SC2153,SC2154
# MariaDB, RabbitMQ and memcached: private instances that keep everything under $RUN.

mysql_init() {
  rm -rf "$RUN/mysql/data"                  # what an interrupted first run left
  mariadb-install-db --no-defaults --user=root --datadir="$RUN/mysql/data" --skip-test-db \
    --innodb-flush-method=nosync --innodb-file-per-table=0 --auth-root-authentication-method=socket
}

infra_start() {
  # MariaDB: durability is traded for speed, this is a test cloud
  mkdir -p "$RUN/mysql"
  once mysql-init mysql_init > "$RUN/log/mysql-init.log" 2>&1
  start mysql mariadbd --no-defaults --user=root --datadir="$RUN/mysql/data" \
    --socket="$RUN/mysql/mysql.sock" --pid-file="$RUN/mysql/mysql.pid" \
    --bind-address="$IP" --port="$DB_PORT" --skip-name-resolve --max-connections=500 \
    --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-flush-method=nosync \
    --innodb-file-per-table=0 --innodb-buffer-pool-size=256M --performance-schema=off

  # RabbitMQ: its own node name, cookie and epmd port, so that another one here does not matter
  mkdir -p "$RUN/rabbitmq"
  cat > "$RUN/rabbitmq/rabbitmq.conf" <<E
listeners.tcp.1 = $IP:$MQ_PORT
default_user = openstack
default_pass = $MQ_PASS
log.console = true
log.console.level = warning
log.file = false
vm_memory_high_watermark.absolute = 512MB
E
  echo '[].' > "$RUN/rabbitmq/enabled_plugins"
  start epmd env ERL_EPMD_PORT="$EPMD_PORT" epmd -address "$IP"
  start rabbitmq env HOME="$RUN/rabbitmq" ERL_EPMD_PORT="$EPMD_PORT" ERL_EPMD_ADDRESS="$IP" \
    RABBITMQ_NODENAME=fastcloud@localhost RABBITMQ_DIST_PORT="$MQ_DIST_PORT" \
    RABBITMQ_CONFIG_FILE="$RUN/rabbitmq/rabbitmq.conf" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$RUN/rabbitmq/enabled_plugins" \
    RABBITMQ_MNESIA_BASE="$RUN/rabbitmq/mnesia" RABBITMQ_LOG_BASE="$RUN/log" \
    RABBITMQ_PID_FILE="$RUN/rabbitmq/pid" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}" \
    /usr/lib/rabbitmq/bin/rabbitmq-server

  start memcached memcached -u nobody -l "$IP" -p "$MEMCACHED_PORT" -U 0 -m 64 -c 1024

  wait_for 60 mysql sql -e 'SELECT 1'
}
