# shellcheck shell=bash disable=SC2034
# The Debian packages. Their own configuration and init scripts are not used.
PACKAGES=(
  mariadb-server-core mariadb-client-core python3-pymysql rabbitmq-server memcached
  curl sudo socat openssl openssh-client procps
  keystone glance-api placement-api uwsgi-plugin-python3 python3-openstackclient python3-openstacksdk
  neutron-server neutron-linuxbridge-agent neutron-dhcp-agent neutron-metadata-agent neutron-l3-agent
  haproxy dnsmasq-base dnsmasq-utils iptables ebtables ipset iproute2 iputils-arping bridge-utils conntrack
  nova-api nova-scheduler nova-conductor nova-compute nova-consoleproxy novnc
  libvirt-daemon-system libvirt-clients python3-libvirt qemu-system-x86 qemu-utils genisoimage
  swift-proxy swift-account swift-container swift-object python3-swiftclient
  dropbear-bin syslinux syslinux-common mtools cpio kmod fdisk
)
