"""A small server that speaks the data plane of Pinecone's API: namespaces, cosine, filters by equality."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MOST = 1_000


class PineconeServer:
    """One index of `dimension`, on a port of 127.0.0.1. `faults` are statuses that the next requests get."""

    def __init__(self, dimension=3, key="k1"):
        self.dimension, self.keys = dimension, {key}
        self.namespaces, self.faults, self.sizes, self.paths = {}, [], [], []
        index = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                size = int(self.headers.get("content-length", 0))
                status, answer = index.answer(
                    self.path, self.headers.get("api-key"), json.loads(self.rfile.read(size) or b"{}")
                )
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path, key, body):
        self.paths.append(path)
        if self.faults:
            status = self.faults.pop(0)
            if status is not None:
                return status, {"code": 13, "message": "as the test wants it"}
        if key not in self.keys:
            return 401, {"code": 16, "message": "Invalid API Key"}
        return {"/vectors/upsert": self.upsert, "/query": self.query, "/vectors/delete": self.delete}[path](
            body
        )

    def upsert(self, body):
        vectors = body["vectors"]
        self.sizes.append(len(vectors))
        if len(vectors) > MOST:
            return 400, {"code": 3, "message": "too many vectors"}
        if any(len(each["values"]) != self.dimension for each in vectors):
            return 400, {"code": 3, "message": "Vector dimension does not match the dimension of the index"}
        self.namespaces.setdefault(body.get("namespace", ""), {}).update(
            {each["id"]: each for each in vectors}
        )
        return 200, {"upsertedCount": len(vectors)}

    def query(self, body):
        if len(body["vector"]) != self.dimension:
            return 400, {"code": 3, "message": "Vector dimension does not match the dimension of the index"}
        namespace = body.get("namespace", "")
        found = [
            {"id": each["id"], "score": _cosine(body["vector"], each["values"]), "metadata": each["metadata"]}
            for each in self.namespaces.get(namespace, {}).values()
            if _fits(each["metadata"], body.get("filter") or {})
        ]
        found.sort(key=lambda match: -match["score"])
        return 200, {"matches": found[: body["topK"]], "namespace": namespace, "usage": {"readUnits": 1}}

    def delete(self, body):
        namespace = body.get("namespace", "")
        if namespace not in self.namespaces:
            return 404, {"code": 5, "message": "Namespace not found"}
        if body.get("deleteAll"):
            del self.namespaces[namespace]
        for each in body.get("ids") or ():
            self.namespaces[namespace].pop(each, None)
        return 200, {}


def _fits(facts, wanted):
    return all(
        facts.get(name) == (rule["$eq"] if isinstance(rule, dict) else rule) for name, rule in wanted.items()
    )


def _cosine(one, other):
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5
