// A connection to the Redis that `field/run` has started for this host.
"use strict";

const { createClient } = require("redis");

async function connect() {
  const redis = createClient({ url: process.env.REDIS_URL });
  redis.on("error", (error) => console.error(error));
  await redis.connect();
  return redis;
}

module.exports = { connect };
