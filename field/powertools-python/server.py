"""Powertools for AWS Lambda with Redis, and what stands before a Lambda function: a gateway that makes an event of a
request (payload format 2.0 of API Gateway's HTTP APIs) and answers 500 where the function raises.
"""

import json
import os
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent
from aws_lambda_powertools.utilities.idempotency.persistence.redis import RedisCachePersistenceLayer

from payments import Payments, refusal, slow_seconds

FUNCTION_TIMEOUT_SECONDS = 60

payments = Payments()
persistence = RedisCachePersistenceLayer(url=os.environ["REDIS_URL"])
config = IdempotencyConfig(event_key_jmespath='headers."idempotency-key"')


@idempotent(config=config, persistence_store=persistence)
def lambda_handler(event, context):
    try:
        order = json.loads(event["body"])
    except ValueError:
        return answer(400, {"error": "no JSON"})
    if wrong := refusal(order):
        return answer(422, wrong)
    time.sleep(slow_seconds(event["queryStringParameters"].get("slow")))
    status, headers, body = payments.pay(order)
    return answer(status, body, headers)


def answer(status, body, headers=None):
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", **(headers or {})},
        "body": json.dumps(body),
    }


class Gateway(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        payment = payments.find(url.path.removeprefix("/payments/"))
        if url.path == "/payments":
            self.send(answer(200, payments.all()))
        elif payment:
            self.send(answer(200, payment))
        else:
            self.send(answer(404, {"message": "Not Found"}))

    def do_POST(self):
        url = urlsplit(self.path)
        event = self.event(url)
        if event is None:
            # Half a body: a gateway calls no function for it.
            self.close_connection = True
            return
        if url.path != "/payments":
            return self.send(answer(404, {"message": "Not Found"}))
        try:
            self.send(lambda_handler(event, context()))
        except Exception:
            traceback.print_exc()
            self.send(answer(500, {"message": "Internal Server Error"}))

    def event(self, url):
        announced = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(announced)
        if len(body) < announced:
            return None
        return {
            "version": "2.0",
            "rawPath": url.path,
            "rawQueryString": url.query,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "queryStringParameters": dict(parse_qsl(url.query)),
            "requestContext": {"http": {"method": self.command, "path": url.path}},
            "body": body.decode("utf-8", "replace"),
            "isBase64Encoded": False,
        }

    def send(self, given):
        body = given["body"].encode()
        self.send_response(given["statusCode"])
        for name, value in given["headers"].items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def context():
    deadline = time.monotonic() + FUNCTION_TIMEOUT_SECONDS
    return SimpleNamespace(
        function_name="pay",
        aws_request_id=str(uuid4()),
        get_remaining_time_in_millis=lambda: int((deadline - time.monotonic()) * 1000),
    )


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Gateway).serve_forever()
