#!/usr/bin/env python3
"""Makes container images without a container engine and pushes them to a registry. See `images`."""
import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import urllib.error
import urllib.request

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker.distribution"
PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


# --- the registry --------------------------------------------------------------------------------


class Registry:
    def __init__(self, url):
        self.url = url

    def ask(self, method, path, data=None, content_type="application/octet-stream"):
        url = path if path.startswith("http") else self.url + path
        request = urllib.request.Request(url, data, {"Content-Type": content_type}, method=method)
        return urllib.request.urlopen(request, timeout=60)

    def blob(self, name, data):
        """Uploads a blob unless it is there; its descriptor without a type."""
        try:
            self.ask("HEAD", f"/v2/{name}/blobs/{digest(data)}").close()
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            at = self.ask("POST", f"/v2/{name}/blobs/uploads/", b"").headers["Location"]
            self.ask("PUT", f"{at}{'&' if '?' in at else '?'}digest={digest(data)}", data).close()
        return {"digest": digest(data), "size": len(data)}

    def manifest(self, name, reference, manifest):
        """Uploads a manifest or an index under a tag, or its digest if `reference` is None; its descriptor."""
        data = json.dumps(manifest, separators=(",", ":")).encode()
        kind = manifest["mediaType"]
        self.ask("PUT", f"/v2/{name}/manifests/{reference or digest(data)}", data, kind).close()
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    def image(self, name, reference, layer, config, architecture="amd64", docker=False):
        """One layer and a config, as OCI's manifest or Docker's; the manifest's descriptor."""
        whole = {"created": "1970-01-01T00:00:00Z", "architecture": architecture, "os": "linux", "config": config,
                 "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}
        kinds = ((f"{DOCKER}.manifest.v2+json", "application/vnd.docker.container.image.v1+json",
                  "application/vnd.docker.image.rootfs.diff.tar") if docker else
                 (f"{OCI}.manifest.v1+json", f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar"))
        return self.manifest(name, reference, {
            "schemaVersion": 2, "mediaType": kinds[0],
            "config": {"mediaType": kinds[1], **self.blob(name, json.dumps(whole).encode())},
            "layers": [{"mediaType": kinds[2], **self.blob(name, layer)}],
        })

    def index(self, name, tag, children):
        """An index of (descriptor, operating system, architecture)."""
        self.manifest(name, tag, {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": [
            {**child, "platform": {"os": system, "architecture": architecture}}
            for child, system, architecture in children
        ]})


# --- layers --------------------------------------------------------------------------------------


class Layer:
    """A tar archive under construction; the same files always give the same bytes."""

    def __init__(self):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.GNU_FORMAT)

    def entry(self, path, kind, mode, data=b"", target=""):
        info = tarfile.TarInfo(path.lstrip("/"))
        info.type, info.mode, info.size, info.linkname = kind, mode, len(data), target
        self.tar.addfile(info, io.BytesIO(data))
        return self

    def folder(self, path, mode=0o755):
        return self.entry(path, tarfile.DIRTYPE, mode)

    def file(self, path, data, mode=0o644):
        return self.entry(path, tarfile.REGTYPE, mode, data.encode() if isinstance(data, str) else data)

    def link(self, path, target):
        return self.entry(path, tarfile.SYMTYPE, 0o777, target=target)

    def system(self):
        """The few files that a program expects of a Linux system."""
        for path in "etc var var/log var/lib run proc sys dev root usr usr/sbin usr/share bin".split():
            self.folder(path)
        for path in ("tmp", "var/tmp", "www"):
            self.folder(path, 0o1777)
        self.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n"
                                "nobody:x:65534:65534:nobody:/:/bin/sh\n")
        return self.file("etc/group", "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n")

    def busybox(self):
        binary = "/bin/busybox"
        self.file("bin/busybox", read(binary), 0o755)
        for applet in subprocess.run([binary, "--list"], check=True, capture_output=True, text=True).stdout.split():
            if applet != "busybox":
                self.link(f"bin/{applet}", "busybox")
        return self

    def nginx(self, debs):
        """Debian's nginx with the shared libraries that it asks for."""
        binary = f"{debs}/usr/sbin/nginx"
        self.file("usr/sbin/nginx", read(binary), 0o755).folder("var/lib/nginx").folder("etc/nginx")
        listed = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
        for library in sorted(set(re.findall(r"/\S+", listed))):
            self.file(library, read(os.path.realpath(library)), 0o755)
        self.file("etc/nginx/mime.types", read(f"{debs}/etc/nginx/mime.types"))
        self.file("etc/nginx/nginx.conf", NGINX_CONF)
        return self.file("www/index.html", "<!doctype html><title>nginx</title><h1>Welcome to nginx!</h1>\n")

    def bytes(self):
        self.tar.close()
        return self.buffer.getvalue()


def read(path):
    with open(path, "rb") as file:
        return file.read()


NGINX_CONF = """user root;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events {}
http {
  include /etc/nginx/mime.types;
  access_log /dev/stdout;
  server { listen 80; root /www; }
}
"""

# What a log may throw at a page and at a terminal. Each line says what it is, so that a test can name it.
HOSTILE = b"\n".join([
    b"script <script>alert(1)</script><img src=x onerror=alert(2)>",
    b"entities &lt;b&gt; &amp; \"quoted\" 'single' {{7*7}} ${7*7}",
    b"colour \x1b[31mred\x1b[0m \x1b[1;38;5;208morange\x1b[0m \x1b[48;2;1;2;3mback\x1b[m",
    b"cursor \x1b[2J\x1b[H\x1b[5A\x1b[10C\x1b[?25l\x1b[?1049hgone\x1b7\x1b8\x1bc",
    b"title \x1b]0;owned\x07 after",
    b"hyperlink \x1b]8;;javascript:alert(3)\x1b\\click\x1b]8;;\x1b\\ after",
    b"clipboard \x1b]52;c;cm0gLXJmIH4=\x07 after",
    b"unfinished \x1b]0;never ended",
    b"c1 \xc2\x9b31mred\xc2\x9b0m and \xc2\x9d0;owned\xc2\x9c after",
    b"nul \x00 bell \x07 backspace abc\b\b\bxyz delete \x7f",
    b"return good\rbad",
    b"invalid \xff\xfe\xc3( \xed\xa0\x80 \xf5\x80\x80\x80 end",
    "korean 안녕하세요 로그 한 줄".encode(),
    "bidi \u202egnp.exe\u202c zero\u200bwidth \ufeff".encode(),
    b"long " + b"A" * 100_000 + b" end",
    b"json {\"level\":\"info\",\"msg\":\"</pre><script>alert(4)</script>\"}",
    b"sse data: injected",
    b"",
    b"event: injected",
]) + b"\n"

# Runs a web server as a child, so that SIGTERM ends it at once and requests under way are still answered
SERVE = "trap 'kill $p; sleep 0.2; exit 0' TERM; httpd -f {} & p=$!; wait $p"


def sh(script, ports=(), **more):
    config = {"Env": [PATH], "Cmd": ["/bin/sh", "-c", script], **more}
    if ports:
        config["ExposedPorts"] = {f"{port}/tcp": {} for port in ports}
    return config


def says(text, httpd="-p 80 -h /www", before=""):
    return f"{before}printf '%s\\n' \"{text}\" >/www/index.html; " + SERVE.format(httpd)


def hello(text):
    return sh(says(f"{text} from $(hostname)", "-v -p ${PORT:-80} -h /www"), [80])


SIMPLE = {  # name:tag -> config; all of them on the layer of busybox
    "busybox:1.35": {"Env": [PATH], "Cmd": ["sh"]},
    "busybox:latest": {"Env": [PATH], "Cmd": ["sh"]},
    "hello:1": hello("Hello"),
    "hello:2": hello("Hello again"),
    "hello:latest": hello("Hello"),
    "crash:1": sh("echo about to crash; sleep 1; echo crashing >&2; exit 1"),
    "exit0:1": sh("echo all done; sleep 2; exit 0"),
    "loopback:1": sh(says("only for myself", "-p 127.0.0.1:80 -h /www"), [80]),
    "port8080:1": sh(says("Hello from port 8080", "-p 8080 -h /www"), [8080]),
    "mislabelled:1": sh(says("Hello from port 8080", "-p 8080 -h /www"), [80]),
    "silent:1": sh("trap exit TERM; echo I listen on nothing; sleep 2147483647 & wait", [80]),
    "noexpose:1": sh(says("Hello from an image without EXPOSE")),
    "hog:1": sh("echo taking all the memory; x=0123456789abcdef; while :; do x=$x$x; done"),
    "loud:1": sh(r"cat /hostile; (i=0; while sleep 1; do i=$((i + 1)); "
                 r"printf 'tick %d <script>alert(5)</script> \033[31m\033]52;c;AAAA\007 안녕\n' $i; done) & "
                 + says("Hello from a loud one"), [80]),
    "nonroot:1": sh(says("Hello from $(id -u)", "-p 8080 -h /www"), [8080], User="1000"),
    "slow:1": sh(says("Hello at last", before="trap exit TERM; echo starting; sleep 8 & wait; echo started; "), [80]),
    "env:1": sh(says("$GREETING"), [80]),
}


def push_all(registry, args):
    def done(name):
        print(f"pushed {name}", flush=True)

    registry.image("library/pause", "1", Layer().file("pause", read(args.pause), 0o755).bytes(),
                   {"Entrypoint": ["/pause"]})
    done("pause:1")

    layer = Layer().system().busybox().file("hostile", HOSTILE).bytes()
    for image, config in SIMPLE.items():
        name, tag = image.split(":")
        registry.image(f"library/{name}", tag, layer, config)
        done(image)

    nginx = Layer().system().nginx(args.debs).bytes()
    config = {"Env": [PATH], "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGQUIT",
              "Cmd": ["nginx", "-e", "/dev/stderr", "-g", "daemon off;"]}
    for tag in ("1.22", "latest"):
        registry.image("library/nginx", tag, nginx, config, docker=True)
        done(f"nginx:{tag}")

    alone = Layer().file("serve", read(args.serve), 0o755).bytes()
    registry.image("library/noshell", "1", alone, {"Entrypoint": ["/serve"], "ExposedPorts": {"80/tcp": {}}})
    done("noshell:1")

    # A program that no x86 machine takes: the header of an arm64 executable (e_machine 183) before our own
    program = bytearray(read(args.serve))
    program[18:20] = (183).to_bytes(2, "little")
    arm = Layer().file("serve", bytes(program), 0o755).bytes()
    arm_config = {"Entrypoint": ["/serve"], "ExposedPorts": {"80/tcp": {}}}
    registry.image("library/foreign", "1", arm, arm_config, "arm64")
    child = registry.image("library/foreign", None, arm, arm_config, "arm64")
    registry.index("library/foreign", "index", [(child, "linux", "arm64")])
    done("foreign:1, foreign:index")

    # As Docker's own builder makes them: the third entry is no image but a statement about the first
    amd64 = registry.image("library/multi", None, layer, hello("Hello from amd64,"))
    arm64 = registry.image("library/multi", None, arm, arm_config, "arm64")
    statement = registry.image("library/multi", None, Layer().bytes(), {}, "unknown")
    registry.index("library/multi", "1", [(amd64, "linux", "amd64"), (arm64, "linux", "arm64"),
                                          (statement, "unknown", "unknown")])
    done("multi:1")

    # Docker Hub's rate limit: see the registry's front in `configure`. No other image may have
    # the same manifest: containerd would not fetch it.
    registry.image("library/limited", "head", layer, hello("Never"))
    done("limited:head")


def push_one(registry, image, folder, config="{}"):
    name, tag = image.rsplit(":", 1)
    name = name if "/" in name else f"library/{name}"
    buffer = io.BytesIO()

    def plain(info):
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(folder, ".", filter=plain)
    registry.image(name, tag, buffer.getvalue(), json.loads(config))
    print(f"pushed {name}:{tag}")


def main():
    parser = argparse.ArgumentParser()
    for name in ("registry", "pause", "serve", "debs"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("push", nargs="*")
    args = parser.parse_args()
    registry = Registry(args.registry)
    if args.push:
        push_one(registry, *args.push[1:])
    else:
        push_all(registry, args)


main()
