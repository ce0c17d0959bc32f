"""The payments API that every Python host of the field serves, without HTTP: field/README.md says what it does.

Each payment in the list is one effect, so that a duplicate can be counted.
"""

from uuid import uuid4

SLOW_MS_MAX = 30_000
BREAKS_BEFORE = 666
BREAKS_AFTER = 667
UNAVAILABLE = 668


class Payments:
    def __init__(self):
        self._made = {}

    def all(self):
        return list(self._made.values())

    def find(self, payment_id):
        return self._made.get(payment_id)

    def pay(self, order):
        """What a POST answers: status, headers and body. Raises where the handler would crash."""
        amount = order["amount"]
        if amount == UNAVAILABLE:
            return 503, {}, {"error": "the bank is closed"}
        if amount == BREAKS_BEFORE:
            raise RuntimeError("broke before the charge")
        payment = self._charge(amount)
        if amount == BREAKS_AFTER:
            raise RuntimeError("broke after the charge")
        return 201, {"Location": f"/payments/{payment['id']}"}, payment

    def _charge(self, amount):
        payment = {"id": f"pay_{uuid4().hex}", "amount": amount}
        self._made[payment["id"]] = payment
        return payment


def refusal(order):
    """What is wrong with the order, as the body of a 422; None if nothing is."""
    amount = order.get("amount") if isinstance(order, dict) else None
    if type(amount) is int and amount > 0:
        return None
    return {"error": "amount must be a positive integer"}


def slow_seconds(text):
    """How long the caller wants this payment to take."""
    return min(int(text), SLOW_MS_MAX) / 1000 if text and text.isdigit() else 0
