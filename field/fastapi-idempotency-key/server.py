"""fastapi-idempotency-key with its default options, in memory, as its quick start has it."""

from fastapi_idempotency_key import IdempotencyMiddleware, MemoryBackend

from asgi import payments_app, serve

app = payments_app()
app.add_middleware(IdempotencyMiddleware, backend=MemoryBackend())
serve(app)
