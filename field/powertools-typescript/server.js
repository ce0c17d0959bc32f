// Powertools for AWS Lambda with Redis, and what stands before a Lambda function: a gateway that makes an event of a
// request (payload format 2.0 of API Gateway's HTTP APIs) and answers 500 where the function throws.
"use strict";

const http = require("node:http");
const { text } = require("node:stream/consumers");
const { randomUUID } = require("node:crypto");
const { makeIdempotent, IdempotencyConfig } = require("@aws-lambda-powertools/idempotency");
const { CachePersistenceLayer } = require("@aws-lambda-powertools/idempotency/cache");
const { Payments, answer } = require("../common/payments");
const { connect } = require("../common/redis");

const FUNCTION_TIMEOUT_MS = 60_000;

const payments = new Payments();

// The Lambda function.
async function pay(event) {
  const order = parsed(event.body);
  if (order === undefined) return lambda(answer(400, { error: "no JSON" }));
  return lambda(await payments.pay(order, event.queryStringParameters.slow));
}

function lambda({ status, headers, body }) {
  return {
    statusCode: status,
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  };
}

function parsed(body) {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

// The gateway.
async function event(request, url) {
  return {
    version: "2.0",
    rawPath: url.pathname,
    rawQueryString: url.searchParams.toString(),
    headers: request.headers,
    queryStringParameters: Object.fromEntries(url.searchParams),
    requestContext: { http: { method: request.method, path: url.pathname } },
    body: await text(request),
    isBase64Encoded: false,
  };
}

function context() {
  const deadline = Date.now() + FUNCTION_TIMEOUT_MS;
  return {
    functionName: "pay",
    awsRequestId: randomUUID(),
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

async function routed(request, handler) {
  const url = new URL(request.url, "http://gateway");
  const id = url.pathname.match(/^\/payments\/(\w+)$/)?.[1];
  if (request.method === "GET" && url.pathname === "/payments") return lambda(answer(200, payments.list()));
  if (request.method === "GET" && payments.find(id)) return lambda(answer(200, payments.find(id)));
  if (request.method === "POST" && url.pathname === "/payments") return handler(await event(request, url), context());
  return lambda(answer(404, { message: "Not Found" }));
}

connect().then((client) => {
  const handler = makeIdempotent(pay, {
    persistenceStore: new CachePersistenceLayer({ client }),
    config: new IdempotencyConfig({ eventKeyJmesPath: 'headers."idempotency-key"' }),
  });
  const server = http.createServer(async (request, response) => {
    const { statusCode, headers, body } = await routed(request, handler).catch((error) => {
      console.error(error);
      return lambda(answer(500, { message: "Internal Server Error" }));
    });
    response.writeHead(statusCode, headers).end(body);
  });
  server.listen(Number(process.env.PORT), "127.0.0.1");
});
