// A payments API, with the middleware that it is given before its one handler.
"use strict";

const express = require("express");
const { createClient } = require("redis");

async function serve(idempotent) {
  const redis = createClient({ url: process.env.REDIS_URL });
  redis.on("error", (error) => console.error(error));
  await redis.connect();

  let executions = 0;
  const app = express();
  app.use(express.json({ limit: "1mb" }));
  app.get("/executions", (request, response) => {
    response.type("text/plain").send(String(executions));
  });
  app.post("/payments", idempotent(redis), (request, response) => {
    executions += 1;
    response.status(201).json({ id: "pay_1001234", amount: 5000, status: "succeeded" });
  });
  app.listen(Number(process.env.PORT), "127.0.0.1");
}

module.exports = { serve };
