"""django-idempotency-key with its default options: in memory, a key required for every unsafe request."""

from wsgi import configure, serve

configure(MIDDLEWARE=["idempotency_key.middleware.IdempotencyKeyMiddleware"])
serve()
