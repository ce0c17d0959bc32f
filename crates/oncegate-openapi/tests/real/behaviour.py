"""A small API behind `oncegate serve`, its annotated description, and Schemathesis, which sends what that permits:
no answer may be one that it does not have."""

import http.server
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

ONCEGATE, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
SPEC = pathlib.Path(__file__).with_name("tiny.yaml").read_text()
CONFIG = """\
[defaults]
in_flight = "reject"

[[route]]
match = "POST /payments"
key = "required"
request_bytes_max = "64KiB"
"""


class Origin(http.server.BaseHTTPRequestHandler):
    """Makes payments; captures every third one badly."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        Origin.count += 1
        if self.path == "/payments":
            try:
                amount = json.loads(body)["amount"]
                right = isinstance(amount, int) and not isinstance(amount, bool) and 1 <= amount <= 1000
            except (ValueError, KeyError, TypeError):
                right = False
            self.answer(*((201, {"id": "p"}) if right else (400, {"error": "wrong"})))
        elif Origin.count % 3 == 0:
            self.answer(503, {"error": "busy"})
        elif Origin.count % 7 == 0:
            # Nobody knows what became of it.
            self.close_connection = True
        else:
            self.answer(200, {"id": "p"})

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    for profile in ["oncegate", "stripe", "paypal", "adyen"]:
        with tempfile.TemporaryDirectory() as folder:
            judge(profile, pathlib.Path(folder), origin.server_address[1])
    with tempfile.TemporaryDirectory() as folder:
        judge("oncegate", pathlib.Path(folder), origin.server_address[1], annotated=False)
    origin.shutdown()


def judge(profile, folder, upstream, annotated=True):
    spec, config = folder / "spec.yaml", folder / "oncegate.toml"
    spec.write_text(SPEC)
    config.write_text(f'profile = "{profile}"\n{CONFIG}')
    if annotated:
        annotate = [ONCEGATE, "openapi", "annotate", spec, "--config", config]
        subprocess.run(annotate, check=True, timeout=60, capture_output=True)
    proxy = subprocess.Popen(
        [ONCEGATE, "serve", "--config", config, "--upstream", f"http://127.0.0.1:{upstream}",
         "--listen", "127.0.0.1:0", "--admin", "off", "--store", "memory:"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    try:
        address = None
        for line in proxy.stdout:
            found = re.search(r"127\.0\.0\.1:([1-9]\d*)", line.replace(f":{upstream}", ""))
            if found and "listen" in line:
                address = found.group(0)
                break
        assert address, "the proxy says where it listens"
        threading.Thread(target=proxy.stdout.read, daemon=True).start()
        checks = "status_code_conformance,content_type_conformance,response_schema_conformance"
        ended = subprocess.run(
            [WORK / "venv/bin/schemathesis", "run", spec, "--url", f"http://{address}", "--seed", "7",
             "--max-examples", "60", "--checks", checks, "--mode", "all",
             "--phases", "examples,coverage,fuzzing", "--workers", "2", "--no-color"],
            capture_output=True, text=True, timeout=300,
        )
        if not annotated:
            found = ended.returncode == 1 and "Undocumented status code" in ended.stdout
            assert found, f"FAILED: nothing is found of a description without ours\n{ended.stdout}"
            print("without ours: Schemathesis finds answers that are not documented")
            return
        if ended.returncode != 0:
            raise SystemExit(f"FAILED: {profile}: an answer is not documented\n{ended.stdout}{ended.stderr}")
        tested = re.search(r"(\d+ generated.*|Test cases:\n.*)", ended.stdout)
        print(f"{profile}: Schemathesis finds no answer that is not documented; {tested.group(0).strip() if tested else ''}")
    finally:
        proxy.kill()
        proxy.wait()


main()
