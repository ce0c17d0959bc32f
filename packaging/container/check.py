"""Runs the program in the root that it is given, before an API of our own, and sees that it keeps its promises."""

import http.client
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading

EXECUTIONS = []


class Api(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        EXECUTIONS.append(len(body))
        answer = b'{"payment":%d}' % len(EXECUTIONS)
        self.send_response(201)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def answer_names():
    """A name server that knows one name, api.example, as 127.0.0.1."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    while True:
        question, caller = server.recvfrom(512)
        end = question.index(b"\0", 12) + 5
        is_v4 = question[end - 4 : end - 2] == b"\0\1"
        is_known = question[12:end].startswith(b"\3api\7example\0")
        is_v4 = is_v4 and is_known
        flags = b"\x81\x80" if is_known else b"\x81\x83"
        head = question[:2] + flags + b"\0\1" + (b"\0\1" if is_v4 else b"\0\0") + b"\0\0\0\0"
        found = b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\4\x7f\0\0\1" if is_v4 else b""
        server.sendto(head + question[12:end] + found, caller)


def post(body, key):
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=30)
    connection.request("POST", "/payments", body, {"Idempotency-Key": key})
    answer = connection.getresponse()
    return answer.status, answer.headers.get("Idempotent-Replayed"), answer.read()


def must(what, is_so):
    print("ok" if is_so else "NOT OK", what)
    if not is_so:
        sys.exit(1)


def serve(root, arguments, upstream="http://api.example:3000"):
    environment = {
        "ONCEGATE_LISTEN": "0.0.0.0:8080",
        "ONCEGATE_STORE": "file:/var/lib/oncegate/oncegate.db",
        "ONCEGATE_UPSTREAM": upstream,
    }
    command = [shutil.which("chroot"), "--userspec=10001:10001", root, "/usr/bin/oncegate", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def started(process):
    said = []
    for line in process.stderr:
        said.append(line)
        if "oncegate is ready" in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return
    must(f"it starts: {said}", False)


root = sys.argv[1]
api = http.server.ThreadingHTTPServer(("127.0.0.1", 3000), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()
threading.Thread(target=answer_names, daemon=True).start()

must("it runs with nothing beside it", serve(root, ["--version"]).wait(30) == 0)
checked = serve(root, ["config", "check"], "https://api.example").wait(30)
must("it trusts the usual authorities", checked == 0)
process = serve(root, ["serve"])
started(process)
first = post(b'{"amount":5000}', "one")
must(f"it finds its upstream by name: {first}", first[0] == 201)
again = post(b'{"amount":5000}', "one")
must(f"a retry is replayed: {again}", again == (201, "true", first[2]))
large = post(b"x" * 3_000_000, "large")
must(f"it spools a large body: {large}", large[0] == 201 and EXECUTIONS[-1] == 3_000_000)
process.terminate()
must("it ends well", process.wait(60) == 0)
process = serve(root, ["serve"], "http://listed.example:3000")
started(process)
again = post(b'{"amount":5000}', "one")
must(f"the volume keeps what was recorded: {again}", again == (201, "true", first[2]))
third = post(b'{"amount":1}', "two")
must(f"it finds its upstream in /etc/hosts: {third}", third[0] == 201)
must(f"each was executed once: {EXECUTIONS}", len(EXECUTIONS) == 3)
process.terminate()
must("it ends well", process.wait(60) == 0)
must("the store is its user's alone", os.stat(root + "/var/lib/oncegate/oncegate.db").st_mode & 0o77 == 0)
