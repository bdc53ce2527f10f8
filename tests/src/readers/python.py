"""Python's readings of a path: the file server of http.server, and what a WSGI application gets. Each answers with the
resource that it resolved, byte for byte. Arguments: two addresses."""
import os
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

ROOT = "/nowhere"


class Files(SimpleHTTPRequestHandler):
    def __init__(self, *args):
        super().__init__(*args, directory=ROOT)

    def do_GET(self):
        found = os.fsencode(self.translate_path(self.path)[len(ROOT):]) or b"/"
        self.send_response(200)
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        self.wfile.write(found)

    def log_message(self, *args):
        pass


class Threading(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def application(environ, start):
    found = environ["PATH_INFO"].encode("latin-1")
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(found)))])
    return [found]


def address(text):
    host, port = text.split(":")
    return host, int(port)


files = ThreadingHTTPServer(address(sys.argv[1]), Files)
threading.Thread(target=files.serve_forever, daemon=True).start()
make_server(*address(sys.argv[2]), application, server_class=Threading, handler_class=Quiet).serve_forever()
