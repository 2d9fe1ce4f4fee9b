"""What a new cloud needs inside: service users, catalogue, and something to use.

  seed.py services IP GLANCE PLACEMENT NEUTRON NOVA SWIFT   users, roles, catalogue, the projects
  seed.py ready SINCE FAKE_HOST                            waits for agents heard from after SINCE
  seed.py agents                                           prints "BINARY HOST" of those that are up
  seed.py content DIR EXT_NS EXT_CIDR EXT_GATEWAY LAB_CIDR SCALE_CIDR FAKE_HOST
                                                           flavors, image, networks, ...; DIR/lab.env
  seed.py quotas INSTANCES                                 what the projects may have

Every step first looks whether its object is there, so that it can be repeated.
"""
import os
import socket
import subprocess
import sys
import time
from datetime import datetime, timezone

import openstack


def services(cloud, ip, glance, placement, neutron, nova, swift):
    identity = cloud.identity
    roles = {r.name: r for r in identity.roles()}
    for name in ("service", "ResellerAdmin"):
        roles.setdefault(name, None)
        roles[name] = roles[name] or identity.create_role(name=name)

    def project(name):
        return (identity.find_project(name) or
                identity.create_project(name=name, domain_id="default"))

    def user(name, password, in_project, *role_names):
        found = identity.find_user(name) or identity.create_user(
            name=name, password=password, domain_id="default")
        for role in role_names:
            identity.assign_project_role_to_user(in_project, found, roles[role])

    service = project("service")
    for name in ("glance", "placement", "neutron", "nova", "swift"):
        user(name, os.environ["SERVICE_PASS"], service, "admin", "service")
    user("fastcloud", os.environ["MEMBER_PASS"], project("fastcloud"), "member")
    user("fastcloud-scale", os.environ["SCALE_PASS"], project("fastcloud-scale"), "member")

    catalogue = {
        "glance": ("image", f"http://{ip}:{glance}"),
        "placement": ("placement", f"http://{ip}:{placement}"),
        "neutron": ("network", f"http://{ip}:{neutron}"),
        "nova": ("compute", f"http://{ip}:{nova}/v2.1"),
        "swift": ("object-store", f"http://{ip}:{swift}/v1/AUTH_%(project_id)s"),
    }
    known = {s.name: s for s in identity.services()}
    endpoints = {(e.service_id, e.interface) for e in identity.endpoints()}
    for name, (kind, url) in catalogue.items():
        entry = known.get(name) or identity.create_service(name=name, type=kind)
        for interface in ("public", "internal", "admin"):
            if (entry.id, interface) not in endpoints:
                identity.create_endpoint(service_id=entry.id, interface=interface,
                                         url=url, region_id="RegionOne")


def alive(cloud, heard=lambda stamp: True):
    """{(binary, host)} of Nova's services and Neutron's agents that report"""
    seen = {(s.binary, s.host) for s in cloud.compute.services()
            if s.state == "up" and s.updated_at and heard(s.updated_at)}
    return seen | {(a.binary, a.host) for a in cloud.network.agents()
                   if a.is_alive and heard(a.last_heartbeat_at)}


def agents(cloud):
    for binary, host in sorted(alive(cloud)):
        print(binary, host)


def ready(cloud, since, fake, patience=180):
    def heard(stamp):
        at = datetime.fromisoformat(stamp[:19]).replace(tzinfo=timezone.utc).timestamp()
        return at >= float(since) or time.time() - at < 30

    here = socket.gethostname()
    wanted = {(binary, here) for binary in (
        "nova-compute", "nova-conductor", "nova-scheduler", "neutron-dhcp-agent", "neutron-l3-agent",
        "neutron-linuxbridge-agent", "neutron-metadata-agent")}
    wanted |= {("nova-compute", fake), ("neutron-linuxbridge-agent", fake)}
    until = time.time() + patience
    while missing := wanted - alive(cloud, heard):
        if time.time() > until:
            sys.exit("not heard from: " + ", ".join(f"{b} on {h}" for b, h in sorted(missing)))
        time.sleep(1)


# The flavor that fits on no host has to get past the quota, to be refused by the scheduler
HUGE = {"vcpus": 64, "ram": 1 << 20}


def quotas(admin, instances):
    n = int(instances)
    admin.set_compute_quotas("fastcloud", instances=n, cores=HUGE["vcpus"] + 4 * n,
                             ram=HUGE["ram"] + 4096 * n, key_pairs=100)
    admin.set_network_quotas("fastcloud", network=5, subnet=5, port=max(30, n + 20), router=3, floatingip=20,
                             security_group=20, security_group_rule=100)
    admin.set_compute_quotas("fastcloud-scale", instances=500, cores=500, ram=64 * 1024, key_pairs=100)
    admin.set_network_quotas("fastcloud-scale", network=2, subnet=2, port=600, router=1, floatingip=5,
                             security_group=20, security_group_rule=100)


TRAIT = "CUSTOM_FASTCLOUD_FAKE"
FLAVORS = {  # name: vcpus, MB, GB, MB of swap
    "m1.nano": (1, 512, 10, 1024), "m1.tiny": (1, 1024, 20, 2048), "m1.small": (2, 3072, 40, 4096),
    "tiny": (1, 256, 1, 0), "huge": (HUGE["vcpus"], HUGE["ram"], 1, 0),
    # a disk of 0 GB would be refused: Nova leaves that to administrators
    "fake.nano": (1, 64, 1, 0), "fake.small": (1, 128, 1, 0),
}


def flavors(admin):
    for name, (vcpus, ram, disk, swap) in FLAVORS.items():
        flavor = admin.compute.find_flavor(name) or admin.compute.create_flavor(
            name=name, vcpus=vcpus, ram=ram, disk=disk, swap=swap)
        if name.startswith("fake."):
            admin.compute.create_flavor_extra_specs(flavor, {f"trait:{TRAIT}": "required"})


def isolate(admin, host):
    """Only flavors that require TRAIT go to HOST, and they go nowhere else: the host has the trait,
    and its aggregate keeps those out that do not ask for it (enable_isolated_aggregate_filtering)."""
    def placement(method, path, **body):
        answer = admin.placement.request(path, method, headers={"OpenStack-API-Version": "placement 1.36"},
                                         **({"json": body} if body else {}))
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    placement("PUT", f"/traits/{TRAIT}")
    provider = placement("GET", f"/resource_providers?name={host}")["resource_providers"][0]
    path = f"/resource_providers/{provider['uuid']}/traits"
    now = placement("GET", path)
    if TRAIT not in now["traits"]:
        placement("PUT", path, traits=now["traits"] + [TRAIT],
                  resource_provider_generation=now["resource_provider_generation"])
    aggregate = admin.compute.find_aggregate("fake") or admin.compute.create_aggregate(name="fake")
    admin.compute.set_aggregate_metadata(aggregate, {f"trait:{TRAIT}": "required"})
    if host not in (aggregate.hosts or []):
        admin.compute.add_host_to_aggregate(aggregate, host)


def image(admin, run):
    found = admin.image.find_image("tiny-linux")
    if found and found.status != "active":  # an upload that was interrupted
        admin.image.delete_image(found)
        found = None
    if not found:
        admin.create_image("tiny-linux", filename=f"{run}/tiny-linux.qcow2", container_format="bare",
                           disk_format="qcow2", visibility="public", min_disk=1, min_ram=64, wait=True,
                           meta={"os_distro": "tiny-linux", "os_admin_user": "root", "fastcloud_user": "root"})


def security_group(cloud):
    group = cloud.network.find_security_group("ssh") or cloud.network.create_security_group(
        name="ssh", description="ssh, http, ping")
    there = {(r.protocol, r.port_range_min) for r in cloud.network.security_group_rules(
        security_group_id=group.id, direction="ingress")}
    for protocol, port in {("tcp", 22), ("tcp", 80), ("icmp", None)} - there:
        cloud.network.create_security_group_rule(
            security_group_id=group.id, direction="ingress", ether_type="IPv4", protocol=protocol,
            port_range_min=port, port_range_max=port)


def network(cloud, name, **subnet):
    net = cloud.network.find_network(name, ignore_missing=True) or cloud.network.create_network(name=name)
    sub = cloud.network.find_subnet(f"{name[:-4]}-subnet", network_id=net.id) or cloud.network.create_subnet(
        name=f"{name[:-4]}-subnet", network_id=net.id, ip_version=4, **subnet)
    return net, sub


def keypair(cloud, run):
    key = f"{run}/lab-key"
    if not os.path.exists(key + ".pub"):
        if os.path.exists(key):
            os.remove(key)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", key], check=True)
    if not cloud.compute.find_keypair("lab-key"):
        with open(key + ".pub") as public:
            cloud.compute.create_keypair(name="lab-key", public_key=public.read().strip())


def content(admin, run, ext_ns, ext_cidr, ext_gateway, lab_cidr, scale_cidr, fake_host):
    flavors(admin)
    isolate(admin, fake_host)
    image(admin, run)
    ext = admin.network.find_network("ext-net") or admin.network.create_network(
        name="ext-net", is_router_external=True, provider_network_type="flat", provider_physical_network="external")
    if not admin.network.find_subnet("ext-subnet"):
        base = ext_cidr.rsplit(".", 1)[0]
        admin.network.create_subnet(
            name="ext-subnet", network_id=ext.id, ip_version=4, cidr=ext_cidr, gateway_ip=ext_gateway,
            is_dhcp_enabled=False, allocation_pools=[{"start": f"{base}.10", "end": f"{base}.250"}])

    member, scale = openstack.connect(cloud="fastcloud"), openstack.connect(cloud="fastcloud-scale")
    net, subnet = network(member, "lab-net", cidr=lab_cidr)
    router = member.network.find_router("lab-router") or member.network.create_router(
        name="lab-router", external_gateway_info={"network_id": ext.id})
    if not list(member.network.ports(device_id=router.id, network_id=net.id)):
        member.network.add_interface_to_router(router, subnet_id=subnet.id)
    # hundreds of fake servers ask for no address: DHCP would only cost time
    scale_net, _ = network(scale, "scale-net", cidr=scale_cidr, gateway_ip=None, is_dhcp_enabled=False)
    for cloud in (member, scale):
        security_group(cloud)
        keypair(cloud, run)

    ids = {
        "LAB_NET_ID": net.id, "LAB_SUBNET_ID": subnet.id, "LAB_NET_CIDR": lab_cidr,
        "LAB_DHCP_NS": f"qdhcp-{net.id}", "LAB_ROUTER_ID": router.id, "LAB_ROUTER_NS": f"qrouter-{router.id}",
        "LAB_EXT_NET_ID": ext.id, "LAB_EXT_NS": ext_ns, "LAB_EXT_CIDR": ext_cidr,
        "LAB_SCALE_NET_ID": scale_net.id, "LAB_SCALE_NET_CIDR": scale_cidr, "LAB_FAKE_HOST": fake_host,
        "LAB_IMAGE_ID": admin.image.find_image("tiny-linux").id, "LAB_IMAGE_USER": "root",
        "LAB_PROJECT_ID": member.current_project_id, "LAB_SCALE_PROJECT_ID": scale.current_project_id,
        "LAB_KEY": f"{run}/lab-key", "LAB_CLOUDS_YAML": f"{run}/clouds.yaml",
    }
    with open(f"{run}/lab.env.new", "w") as out:
        out.writelines(f"{name}={value}\n" for name, value in ids.items())
    os.rename(f"{run}/lab.env.new", f"{run}/lab.env")


step, args = sys.argv[1], sys.argv[2:]
{"services": services, "ready": ready, "agents": agents, "content": content, "quotas": quotas}[step](
    openstack.connect(cloud="fastcloud-admin"), *args)
