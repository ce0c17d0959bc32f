"""drf-idempotency as its quick start has it: with its database backend, here on SQLite."""

import os

from django.core.management import call_command

from wsgi import configure, serve

configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "drf_idempotency"],
    MIDDLEWARE=["drf_idempotency.middleware.IdempotencyMiddleware"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(os.environ["SCRATCH"], "db.sqlite3"),
        }
    },
    IDEMPOTENCY={"BACKEND": "drf_idempotency.backends.database.DatabaseBackend"},
)
call_command("migrate", verbosity=0)
serve()
