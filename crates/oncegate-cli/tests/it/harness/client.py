"""One customer, created through a stock HTTP client that retries by itself: LIBRARY ADDRESS KEY."""

import json
import sys

import requests
import urllib3

library, address, key = sys.argv[1:]
url = f"http://{address}/v1/customers"
headers = {"Idempotency-Key": key, **urllib3.make_headers(basic_auth="sk_test_12345:")}
form = {"email": f"{key}@example.test"}
# Both libraries retry a POST only if they are told to; the rest is what they do by themselves.
retry = urllib3.Retry(
    total=6, allowed_methods=None, status_forcelist=[409, 502, 503, 504], backoff_factor=0.1
)

if library == "urllib3":
    answer = urllib3.PoolManager(retries=retry).request(
        "POST", url, fields=form, headers=headers, encode_multipart=False
    )
    status, body = answer.status, answer.data.decode()
else:
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
    answer = session.post(url, data=form, headers=headers)
    status, body = answer.status_code, answer.text

replayed = answer.headers.get("Idempotent-Replayed") == "true"
print(json.dumps({"status": status, "replayed": replayed, "body": body}))
