"""asgi-idempotency-header with its default options, in memory or in Redis."""

import os

from idempotency_header_middleware import IdempotencyHeaderMiddleware
from idempotency_header_middleware.backends import MemoryBackend, RedisBackend
from redis.asyncio import from_url

from asgi import payments_app, serve

if os.environ.get("STORE") == "redis":
    backend = RedisBackend(redis=from_url(os.environ["REDIS_URL"]))
else:
    backend = MemoryBackend()
app = payments_app()
app.add_middleware(IdempotencyHeaderMiddleware, backend=backend)
serve(app)
