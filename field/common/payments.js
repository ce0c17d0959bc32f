// The payments API that every JavaScript host of the field serves, without HTTP: field/README.md says what it does.
// Each payment in the list is one effect, so that a duplicate can be counted.
"use strict";

const { randomUUID } = require("node:crypto");
const { setTimeout: sleep } = require("node:timers/promises");

const SLOW_MS_MAX = 30_000;
const BREAKS_BEFORE = 666;
const BREAKS_AFTER = 667;
const UNAVAILABLE = 668;

class Payments {
  #made = new Map();

  list() {
    return [...this.#made.values()];
  }

  find(id) {
    return this.#made.get(id);
  }

  // What a POST answers: `{ status, headers, body }`. Throws where the handler would crash.
  async pay(order, slowMs) {
    const amount = order?.amount;
    if (!Number.isSafeInteger(amount) || amount <= 0) {
      return answer(422, { error: "amount must be a positive integer" });
    }
    await sleep(Math.min(Number(slowMs) || 0, SLOW_MS_MAX));
    if (amount === UNAVAILABLE) return answer(503, { error: "the bank is closed" });
    if (amount === BREAKS_BEFORE) throw new Error("broke before the charge");
    const payment = this.#charge(amount);
    if (amount === BREAKS_AFTER) throw new Error("broke after the charge");
    return answer(201, payment, { Location: `/payments/${payment.id}` });
  }

  #charge(amount) {
    const payment = { id: `pay_${randomUUID().replaceAll("-", "")}`, amount };
    this.#made.set(payment.id, payment);
    return payment;
  }
}

function answer(status, body, headers = {}) {
  return { status, headers, body };
}

module.exports = { Payments, answer };
