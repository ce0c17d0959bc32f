// Oncegate itself with its default options, in memory, before the same Express host without a middleware.
"use strict";

const path = require("node:path");
const { spawn } = require("node:child_process");
const { serve } = require("../common/express");

const ONCEGATE = path.resolve(__dirname, "../..", process.env.ONCEGATE ?? "target/debug/oncegate");

const listen = `127.0.0.1:${process.env.PORT}`;
process.env.PORT = "0";
const host = serve((_request, _response, next) => next());
host.on("listening", () => {
  const upstream = `http://127.0.0.1:${host.address().port}`;
  const options = ["serve", "--upstream", upstream, "--listen", listen, "--store", "memory:", "--admin", "off"];
  // It ends with us, however we end.
  const proxy = spawn("setpriv", ["--pdeathsig", "KILL", ONCEGATE, ...options], { stdio: ["ignore", 2, 2] });
  proxy.on("exit", (code) => process.exit(code ?? 1));
});
