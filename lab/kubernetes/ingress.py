#!/usr/bin/env python3
"""Serves Ingress objects of class nginx with a real nginx, and the names of Services by DNS.

Runs in the lab's node. Watches ingresses, services and endpoints; at each change writes nginx's
configuration for all of them, reloads nginx, and tells each ingress its address, as an ingress
controller does. As the usual one it sends requests straight to the pods that are ready, tries the next
when one refuses, answers 503 when none is ready and 502 when none takes the connection. The folder
given by --dns gets the hosts file that the node's dnsmasq reads.
"""
import argparse
import ctypes
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time

from mirror import Api, Mirror, key

ADDRESS = {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}

HEAD = """
user root;
worker_processes 1;
daemon off;
pid {state}/nginx.pid;
error_log stderr error;
events {{}}
http {{
  access_log {log};
  client_body_temp_path {state}/body;
  proxy_temp_path {state}/proxy;
  fastcgi_temp_path {state}/fastcgi;
  uwsgi_temp_path {state}/uwsgi;
  scgi_temp_path {state}/scgi;
  server_names_hash_bucket_size 256;
  server_names_hash_max_size 8192;
  include {mime};
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;
  proxy_connect_timeout 5s;
  proxy_bind {address};
  server {{ listen 127.0.0.1:{port} default_server; location / {{ return 404; }} }}
"""


def is_ours(ingress):
    annotations = ingress["metadata"].get("annotations", {})
    return (ingress["spec"].get("ingressClassName") or annotations.get("kubernetes.io/ingress.class")) == "nginx"


def addresses(namespace, backend, services, endpoints):
    """IP:PORT of every pod that is ready behind a backend."""
    name, wanted = (namespace, backend["service"]["name"]), backend["service"]["port"]
    for port in services.get(name, {"spec": {}})["spec"].get("ports", []):
        if port["port"] == wanted.get("number") or port.get("name") == wanted.get("name", ""):
            return sorted(
                f"{address['ip']}:{target['port']}"
                for subset in endpoints.get(name, {}).get("subsets", [])
                for target in subset.get("ports", []) if target.get("name") == port.get("name")
                for address in subset.get("addresses", [])
            )
    return []


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def locations(path):
    where = path.get("path", "/")
    prefix = where.rstrip("/")
    if path.get("pathType") == "Exact":
        return [f"= {quoted(where)}"]
    if not prefix:
        return ["/"]
    return [f"= {quoted(prefix)}", quoted(prefix + "/")]


def nginx_conf(head, port, ingresses, services, endpoints):
    hosts, upstreams = {}, {}  # host -> location -> what to do there; upstream's text -> its name
    # Who asked first for a host and a path has it
    for ingress in sorted(ingresses, key=lambda one: (one["metadata"]["creationTimestamp"], key(one))):
        namespace, _ = key(ingress)
        for rule in ingress["spec"].get("rules", []):
            places = hosts.setdefault(rule.get("host", "_"), {})
            for path in rule.get("http", {}).get("paths", []):
                action = "return 503;"
                if pods := addresses(namespace, path["backend"], services, endpoints):
                    servers = " ".join(f"server {pod} max_fails=0;" for pod in pods)
                    action = f"proxy_pass http://{upstreams.setdefault(servers, f'pods{len(upstreams)}')};"
                for place in locations(path):
                    places.setdefault(place, action)
    parts = [f"  upstream {name} {{ {servers} }}" for servers, name in upstreams.items()]
    for host, places in sorted(hosts.items()):
        parts.append(f"  server {{\n    listen 127.0.0.1:{port};\n    server_name {host};")
        parts += [f"    location {place} {{ {action} }}" for place, action in places.items()]
        parts.append("  }")
    return head + "\n".join(parts) + "\n}\n"


def write(path, text):
    """Replaces a file at once; says whether it changed."""
    if os.path.exists(path):
        with open(path) as file:
            if file.read() == text:
                return False
    folder, name = os.path.split(path)
    new = os.path.join(folder, f".{name}.new")  # dnsmasq does not read files that begin with a dot
    with open(new, "w") as file:
        file.write(text)
    os.replace(new, path)
    return True


def names(services):
    return "".join(
        f"{service['spec']['clusterIP']} {name}.{namespace}.svc.cluster.local\n"
        for (namespace, name), service in sorted(services.items())
        if service["spec"].get("clusterIP", "None") not in ("None", "")
    )


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def start_nginx(args, conf):
    """A running nginx. Before its pid file is there a SIGHUP would end it."""
    pid = f"{args.state}/nginx.pid"
    if os.path.exists(pid):
        os.remove(pid)
    nginx = subprocess.Popen([args.nginx, "-p", args.state, "-e", "stderr", "-c", conf], preexec_fn=die_with_parent)
    for _ in range(200):
        if os.path.exists(pid):
            return nginx
        if nginx.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit("nginx does not start")


def arguments():
    parser = argparse.ArgumentParser()
    for name in "api pki address port state dns log nginx mime".split():
        parser.add_argument(f"--{name}", required=True)
    return parser.parse_args()


def main():
    args = arguments()
    conf = f"{args.state}/nginx.conf"
    head = HEAD.format(**vars(args))
    write(conf, head + "}\n")
    nginx = start_nginx(args, conf)

    api, changed = Api(args.api, args.pki, "ingress"), threading.Event()
    ingresses = Mirror(api, "/apis/networking.k8s.io/v1/ingresses", changed)
    services = Mirror(api, "/api/v1/services", changed)
    endpoints = Mirror(api, "/api/v1/endpoints", changed)

    def synchronise():
        write(f"{args.dns}/services", names(services.objects))
        ours = [ingress for ingress in ingresses.objects.values() if is_ours(ingress)]
        if write(conf, nginx_conf(head, args.port, ours, services.objects, endpoints.objects)):
            nginx.send_signal(signal.SIGHUP)
        for ingress in ours:
            if ingress.get("status", {}) != ADDRESS:
                namespace, name = key(ingress)
                path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{name}/status"
                with api.ask("PATCH", path, {"status": ADDRESS}, "application/merge-patch+json"):
                    pass

    while True:
        if nginx.poll() is not None:
            sys.exit("nginx ended")
        if not changed.wait(10):
            continue
        changed.clear()
        if None in (ingresses.objects, services.objects, endpoints.objects):
            continue
        try:
            synchronise()
        except (OSError, http.client.HTTPException) as error:  # an ingress that is gone already, a stopped server
            print(error, file=sys.stderr, flush=True)
            threading.Event().wait(1)
            changed.set()
        threading.Event().wait(0.02)


main()
