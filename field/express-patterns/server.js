// Express and Redis, as everybody writes it: the middlewares are those that `make bench` measures.
"use strict";

const idempotent = require(`../../bench/express/${process.env.PATTERN}`);
const { serve } = require("../common/express");
const { connect } = require("../common/redis");

connect().then((redis) => serve(idempotent(redis)));
