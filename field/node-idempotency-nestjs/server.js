// @node-idempotency/nestjs with its default options, in memory or in Redis. Its siblings for Express and Fastify can
// no longer be installed.
//
// Decorators are applied by hand, as TypeScript's compiler would: so nothing has to be compiled.
"use strict";

require("reflect-metadata");
const common = require("@nestjs/common");
const { NestFactory } = require("@nestjs/core");
const { Idempotent, NodeIdempotencyModule, StorageAdapterEnum } = require("@node-idempotency/nestjs");
const { __decorate, __param } = require("tslib");
const { Payments } = require("../common/payments");

class PaymentsController {
  #payments = new Payments();

  list() {
    return this.#payments.list();
  }

  find(id) {
    const payment = this.#payments.find(id);
    if (!payment) throw new common.NotFoundException();
    return payment;
  }

  async pay(order, slow, response) {
    const { status, headers, body } = await this.#payments.pay(order, slow);
    if (status >= 400) throw new common.HttpException(body, status);
    response.set(headers);
    return body;
  }
}

class AppModule {}

function decorate(name, ...decorators) {
  __decorate(decorators, PaymentsController.prototype, name, null);
}

decorate("list", common.Get());
decorate("find", common.Get(":id"), __param(0, common.Param("id")));
decorate(
  "pay",
  Idempotent(),
  common.Post(),
  __param(0, common.Body()),
  __param(1, common.Query("slow")),
  __param(2, common.Res({ passthrough: true })),
);
common.Controller("payments")(PaymentsController);

const storage =
  process.env.STORE === "redis"
    ? { adapter: StorageAdapterEnum.redis, options: { url: process.env.REDIS_URL } }
    : { adapter: StorageAdapterEnum.memory };
common.Module({
  imports: [NodeIdempotencyModule.forRootAsync({ storage })],
  controllers: [PaymentsController],
})(AppModule);

NestFactory.create(AppModule, { logger: ["error", "warn"] }).then((app) =>
  app.listen(Number(process.env.PORT), "127.0.0.1"),
);
