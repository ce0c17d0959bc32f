// Take a lock with SET NX, execute, save the answer over the lock. A process that dies leaves the key locked for a
// minute and then free, whatever it did.
"use strict";

const LOCK_SECONDS = 60;
const DAY_SECONDS = 24 * 60 * 60;
const LOCKED = "in progress";

const idempotent = (redis) => async (request, response, next) => {
  const key = request.get("Idempotency-Key");
  if (!key) return next();
  const name = `idempotency:${key}`;
  const locked = await redis.set(name, LOCKED, { NX: true, EX: LOCK_SECONDS });
  if (locked === null) {
    const saved = await redis.get(name);
    if (saved === null || saved === LOCKED) {
      return response.status(409).json({ error: "in progress" });
    }
    const { status, body } = JSON.parse(saved);
    return response.status(status).set("Idempotent-Replayed", "true").json(body);
  }
  const json = response.json.bind(response);
  response.json = (body) => {
    const answer = JSON.stringify({ status: response.statusCode, body });
    redis.set(name, answer, { EX: DAY_SECONDS }).then(() => json(body), next);
    return response;
  };
  next();
};

module.exports = idempotent;
if (require.main === module) require("./payments").serve(idempotent);
