// The payments API in Express, with the middleware that it is given before its one unsafe handler.
"use strict";

const express = require("express");
const { Payments } = require("./payments");

// `replayed` says that the middleware has answered, and `failed` tells it of an exception: for those that want it so.
function serve(idempotent, { replayed = () => false, failed = () => {} } = {}) {
  const payments = new Payments();
  const app = express();
  app.use(express.json({ limit: "4mb" }));
  app.get("/payments", (request, response) => {
    response.json(payments.list());
  });
  app.get("/payments/:id", (request, response) => {
    const payment = payments.find(request.params.id);
    response.status(payment ? 200 : 404).json(payment ?? { error: "no such payment" });
  });
  app.post("/payments", idempotent, async (request, response, next) => {
    if (replayed(request)) return;
    try {
      const { status, headers, body } = await payments.pay(request.body, request.query.slow);
      response.status(status).set(headers).json(body);
    } catch (error) {
      await failed(request);
      next(error);
    }
  });
  return app.listen(Number(process.env.PORT), "127.0.0.1");
}

module.exports = { serve };
