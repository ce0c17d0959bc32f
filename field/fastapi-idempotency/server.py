"""fastapi-idempotency with its default options: in memory, one scope for each client address."""

from fastapi_idempotency import IdempotencyMiddleware

from asgi import payments_app, serve

app = payments_app()
app.add_middleware(IdempotencyMiddleware)
serve(app)
