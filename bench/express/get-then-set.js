// Look the key up, execute, save the answer. Two requests at once both find nothing, and both execute.
"use strict";

const DAY_SECONDS = 24 * 60 * 60;

const idempotent = (redis) => async (request, response, next) => {
  const key = request.get("Idempotency-Key");
  if (!key) return next();
  const saved = await redis.get(`idempotency:${key}`);
  if (saved !== null) {
    const { status, body } = JSON.parse(saved);
    return response.status(status).set("Idempotent-Replayed", "true").json(body);
  }
  const json = response.json.bind(response);
  response.json = (body) => {
    const answer = JSON.stringify({ status: response.statusCode, body });
    redis.set(`idempotency:${key}`, answer, { EX: DAY_SECONDS }).then(() => json(body), next);
    return response;
  };
  next();
};

module.exports = idempotent;
if (require.main === module) require("./payments").serve(idempotent);
