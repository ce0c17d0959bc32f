// express-idempotency with its default options, in memory or with its Redis adapter.
"use strict";

const { idempotency, getSharedIdempotencyService } = require("express-idempotency");
const { serve } = require("../common/express");

async function adapter() {
  if (process.env.STORE !== "redis") return undefined;
  const RedisAdapter = require("express-idempotency-redis-adapter").default;
  const redis = new RedisAdapter({ connectionConfig: { url: process.env.REDIS_URL } });
  await redis.connect();
  return redis;
}

adapter().then((dataAdapter) => {
  const idempotent = idempotency({ dataAdapter });
  const service = getSharedIdempotencyService();
  serve(idempotent, {
    replayed: (request) => service.isHit(request),
    failed: (request) => service.reportError(request),
  });
});
