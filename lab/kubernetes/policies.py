#!/usr/bin/env python3
"""Enforces NetworkPolicies by iptables rules in the lab's node.

Watches pods, namespaces and policies; at each change writes all rules anew, in one go. As everywhere a
pod that no policy selects is open, answers to allowed connections pass, and so does what the node itself
asks of its pods (probes). What is not allowed is refused at once rather than dropped, to spare tests the
wait. The DNS and the ingress, which are processes of the node here, count as pods of their namespaces
when they use the addresses given by --pod.

A pod's rules come some tenths of a second after its address is known, not before it starts.
"""
import argparse
import hashlib
import http.client
import ipaddress
import subprocess
import sys
import threading
from typing import NamedTuple

from mirror import Api, Mirror, key

MAIN, OURS = "LAB-POLICY", "LAB-P-"


class Pod(NamedTuple):
    namespace: str
    labels: dict
    address: str
    ports: dict  # name -> number


# --- who is meant --------------------------------------------------------------------------------


def matches(selector, labels):
    """Whether labels satisfy a label selector; an empty one matches all."""
    for name, value in selector.get("matchLabels", {}).items():
        if labels.get(name) != value:
            return False
    for wanted in selector.get("matchExpressions", []):
        value, operator, values = labels.get(wanted["key"]), wanted["operator"], wanted.get("values", [])
        if not {"In": value in values, "NotIn": value not in values,
                "Exists": value is not None, "DoesNotExist": value is None}[operator]:
            return False
    return True


def running(things):
    """The pods that have an address of their own."""
    for thing in things:
        spec, status = thing["spec"], thing.get("status", {})
        if spec.get("hostNetwork") or not status.get("podIP") or status.get("phase") in ("Succeeded", "Failed"):
            continue
        ports = {port["name"]: port["containerPort"] for container in spec["containers"]
                 for port in container.get("ports", []) if "name" in port}
        yield Pod(thing["metadata"]["namespace"], thing["metadata"].get("labels", {}), status["podIP"], ports)


def blocks(block):
    """The networks of an ipBlock without its exceptions."""
    networks = [ipaddress.ip_network(block["cidr"], strict=False)]
    for text in block.get("except", []):
        hole, rest = ipaddress.ip_network(text, strict=False), []
        for network in networks:
            if hole.version != network.version or not hole.overlaps(network):
                rest.append(network)
            elif not network.subnet_of(hole):
                rest += network.address_exclude(hole)
        networks = rest
    return [str(network) for network in networks if network.version == 4]


class Cluster:
    def __init__(self, pods, namespaces):
        self.pods, self.namespaces = pods, namespaces  # namespace -> labels

    def peers(self, namespace, peer):
        """(address, pod or None) of everybody that a peer of a policy means."""
        if "ipBlock" in peer:
            return [(network, None) for network in blocks(peer["ipBlock"])]
        return [
            (pod.address, pod) for pod in self.pods
            if (matches(peer["namespaceSelector"], self.namespaces.get(pod.namespace, {}))
                if "namespaceSelector" in peer else pod.namespace == namespace)
            and matches(peer.get("podSelector", {}), pod.labels)
        ]


# --- rules -----------------------------------------------------------------------------------------


def port_matches(ports, target):
    """iptables' words for the ports of a rule; those with a name as `target`, a pod or None, has it."""
    if not ports:
        return [""]
    words = []
    for port in ports:
        number = port.get("port")
        if isinstance(number, str):
            number = target and target.ports.get(number)
            if number is None:
                continue
        words.append(f" -p {port.get('protocol', 'TCP').lower()}" + (f" --dport {number}" if number else ""))
    return words


def allowed(cluster, policy, direction, selected):
    """The rules that let pass what one policy allows the pods in `selected`."""
    namespace, _ = key(policy)
    here, there, side = ("-d", "-s", "from") if direction == "Ingress" else ("-s", "-d", "to")
    for rule in policy["spec"].get(direction.lower()) or []:
        ports = rule.get("ports", [])
        named = any(isinstance(port.get("port"), str) for port in ports)
        everybody = not rule.get(side)
        peers = [("0.0.0.0/0", None)] if everybody else [
            one for peer in rule[side] for one in cluster.peers(namespace, peer)]
        for address, peer in peers:
            where = "" if everybody else f" {there} {address}"
            if direction == "Ingress" and named:
                for pod in selected:
                    yield from (f"{where} {here} {pod.address}{words}" for words in port_matches(ports, pod))
            else:
                yield from (where + words for words in port_matches(ports, peer))


def types(policy):
    spec = policy["spec"]
    return spec.get("policyTypes") or ["Ingress"] + (["Egress"] if spec.get("egress") else [])


def rules(cluster, policies):
    """The names of all chains, and the lines that fill them."""
    chains, lines = {}, [f"-A {MAIN} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"]
    for direction, option in (("Egress", "-s"), ("Ingress", "-d")):
        groups = {}  # the policies that select a pod -> the pods with just these
        for pod in cluster.pods:
            mine = tuple(policy for policy in policies
                         if policy["metadata"]["namespace"] == pod.namespace and direction in types(policy)
                         and matches(policy["spec"].get("podSelector", {}), pod.labels))
            if mine:
                groups.setdefault(tuple(map(key, mine)), (mine, []))[1].append(pod)
        for name, (mine, pods) in groups.items():
            chain = OURS + hashlib.sha256(repr((direction, name)).encode()).hexdigest()[:12]
            passes = {line: None for policy in mine for line in allowed(cluster, policy, direction, pods)}
            chains[chain] = [f"-A {chain}{words} -j RETURN" for words in passes] + [
                f"-A {chain} -j REJECT --reject-with icmp-port-unreachable"]
            lines += [f"-A {MAIN} {option} {pod.address} -j {chain}" for pod in pods]
    return chains, lines + [line for chain in chains.values() for line in chain]


def iptables(*words, check=True, text=None):
    return subprocess.run(words, input=text, check=check, capture_output=True, text=True).stdout


def hook(pods, extra):
    """Sends through our chain what pods are asked and ask, once."""
    iptables("iptables", "-w", "-N", MAIN, check=False)
    ways = [["FORWARD"], ["INPUT", "-s", pods]] + [["OUTPUT", "-s", pod.address, "-d", pods] for pod in extra]
    for chain, *words in ways:
        iptables("iptables", "-w", "-D", chain, *words, "-j", MAIN, check=False)
        iptables("iptables", "-w", "-I", chain, *words, "-j", MAIN)


def load(chains, lines, old):
    """Puts the rules in place of the old ones."""
    gone = [chain for chain in old if chain not in chains]
    text = ["*filter", *(f":{chain} - [0:0]" for chain in [MAIN, *chains, *gone]), *lines,
            *(f"-X {chain}" for chain in gone), "COMMIT", ""]
    iptables("iptables-restore", "-w", "--noflush", text="\n".join(text))


def loaded():
    """Our chains that are there, from the program's last run."""
    names = (line.split()[1] for line in iptables("iptables", "-w", "-S").splitlines() if line.startswith("-N "))
    return {name: None for name in names if name.startswith(OURS)}


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("api", "pki", "pods"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--pod", action="append", default=[], metavar="NAMESPACE,LABEL=VALUE,ADDRESS")
    return parser.parse_args()


def main():
    args = arguments()
    extra = []
    for text in args.pod:
        namespace, label, address = text.split(",")
        extra.append(Pod(namespace, dict([label.split("=")]), address, {}))
    hook(args.pods, extra)

    api, changed = Api(args.api, args.pki, "ingress"), threading.Event()
    pods = Mirror(api, "/api/v1/pods", changed)
    namespaces = Mirror(api, "/api/v1/namespaces", changed)
    policies = Mirror(api, "/apis/networking.k8s.io/v1/networkpolicies", changed)
    chains, before = loaded(), None
    while True:
        changed.wait()
        changed.clear()
        if None in (pods.objects, namespaces.objects, policies.objects):
            continue
        cluster = Cluster(
            [*running(thing for _, thing in sorted(pods.objects.items())), *extra],
            {name: thing["metadata"].get("labels", {}) for (_, name), thing in namespaces.objects.items()})
        wanted = rules(cluster, [policy for _, policy in sorted(policies.objects.items())])
        if wanted == before:
            continue
        try:
            load(*wanted, chains)
            chains, before = wanted[0], wanted
            print(f"{len(policies.objects)} policies, {len(wanted[1])} rules", flush=True)
        except (OSError, http.client.HTTPException, subprocess.CalledProcessError) as error:
            print(error, getattr(error, "stderr", ""), file=sys.stderr, flush=True)
            threading.Event().wait(1)
            changed.set()


main()
