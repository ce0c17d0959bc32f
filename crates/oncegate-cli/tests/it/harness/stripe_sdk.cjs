// Calls of Stripe's own Node library, one after the other: what each one got in the end.

const Stripe = require("stripe");

async function called(client, call) {
  try {
    const options = call.key === undefined ? {} : { idempotencyKey: call.key };
    const got = await client.customers.create({ email: call.email }, options);
    const replayed = got.lastResponse.headers["idempotent-replayed"] === "true";
    return { object: got, replayed };
  } catch (error) {
    if (!(error instanceof Stripe.errors.StripeError)) throw error;
    const members = error.raw ?? {};
    return {
      error: error.type,
      status: error.statusCode,
      code: members.code,
      executed: members.executed,
      next: members.next,
      replayed: error.headers?.["idempotent-replayed"] === "true",
    };
  }
}

async function main() {
  const plan = JSON.parse(process.argv[2]);
  const base = new URL(plan.base);
  const client = new Stripe("sk_test_12345", {
    protocol: "http",
    host: base.hostname,
    port: base.port,
    maxNetworkRetries: plan.retries,
    telemetry: false,
  });
  const got = [];
  for (const call of plan.calls) got.push(await called(client, call));
  // The library leaves an answer that it retries unread, and its socket open: without this the process stays.
  process.stdout.write(JSON.stringify(got), () => process.exit(0));
}

main();
