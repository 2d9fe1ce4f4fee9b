"""A copy of a kind of objects of the cluster, kept up to date by a watch. Standard library only."""
import http.client
import json
import ssl
import sys
import threading
import urllib.parse


class Api:
    """Asks the API server as the holder of the certificate NAME.crt in the folder `pki`."""

    def __init__(self, url, pki, name):
        self.host = urllib.parse.urlsplit(url).netloc
        self.tls = ssl.create_default_context(cafile=f"{pki}/ca.crt")
        self.tls.load_cert_chain(f"{pki}/{name}.crt", f"{pki}/{name}.key")

    def ask(self, method, path, body=None, content_type="application/json", timeout=20):
        """The open answer to a request; an OSError if it is not a 2xx."""
        connection = http.client.HTTPSConnection(self.host, context=self.tls, timeout=timeout)
        connection.request(method, path, body and json.dumps(body), {"Content-Type": content_type})
        answer = connection.getresponse()
        if answer.status >= 300:
            text = answer.read(2000).decode(errors="replace")
            connection.close()
            raise OSError(f"{method} {path}: {answer.status} {text}")
        return answer


def key(thing):
    return thing["metadata"].get("namespace", ""), thing["metadata"]["name"]


class Mirror(threading.Thread):
    """`objects` by (namespace, name); None until the first list. Sets `changed` at every change."""

    def __init__(self, api, path, changed):
        super().__init__(daemon=True)
        self.api, self.path, self.changed = api, path, changed
        self.objects = None
        self.start()

    def run(self):
        while True:
            try:
                version = self.list()
                while version:
                    version = self.watch(version)
            except (OSError, http.client.HTTPException, ValueError) as error:
                print(f"{self.path}: {error}", file=sys.stderr, flush=True)
            threading.Event().wait(1)

    def list(self):
        listed = json.load(self.api.ask("GET", self.path))
        self.objects = {key(thing): thing for thing in listed["items"]}
        self.changed.set()
        return listed["metadata"]["resourceVersion"]

    def watch(self, version):
        """Follows changes until the server ends the watch; the version to go on from, None to list anew."""
        query = f"?watch=1&allowWatchBookmarks=1&timeoutSeconds=300&resourceVersion={version}"
        with self.api.ask("GET", self.path + query, timeout=330) as answer:
            for line in answer:
                event = json.loads(line)
                thing = event["object"]
                if event["type"] == "ERROR":
                    return None
                version = thing["metadata"]["resourceVersion"]
                if event["type"] == "BOOKMARK":
                    continue
                objects = dict(self.objects)      # readers may be walking through the old one
                if event["type"] == "DELETED":
                    objects.pop(key(thing), None)
                else:
                    objects[key(thing)] = thing
                self.objects = objects
                self.changed.set()
        return version
