"""Calls of Stripe's own Python library, one after the other: what each one got in the end."""

import json
import sys

import stripe


def called(client, call):
    try:
        options = {"idempotency_key": call["key"]} if "key" in call else {}
        got = client.v1.customers.create(params={"email": call["email"]}, options=options)
    except stripe.StripeError as error:
        headers = error.headers or {}
        members = (error.json_body or {}).get("error", {})
        return {
            "error": type(error).__name__,
            "status": error.http_status,
            "code": members.get("code"),
            "executed": members.get("executed"),
            "next": members.get("next"),
            "replayed": headers.get("Idempotent-Replayed") == "true",
        }
    replayed = got.last_response.headers.get("Idempotent-Replayed") == "true"
    return {"object": got.to_dict(), "replayed": replayed}


plan = json.loads(sys.argv[1])
stripe.enable_telemetry = False
client = stripe.StripeClient(
    "sk_test_12345",
    base_addresses={"api": plan["base"]},
    max_network_retries=plan["retries"],
)
print(json.dumps([called(client, call) for call in plan["calls"]]))
