"""The payments API in Django, for the middlewares that stand in its `MIDDLEWARE`."""

import json
import os
import time

import django
from django.conf import settings
from django.http import JsonResponse
from django.urls import path

from payments import Payments, refusal, slow_seconds

THREADS = 32

payments = Payments()


def collection(request):
    if request.method != "POST":
        return JsonResponse(payments.all(), safe=False)
    try:
        order = json.loads(request.body)
    except ValueError:
        return JsonResponse({"error": "no JSON"}, status=400)
    if wrong := refusal(order):
        return JsonResponse(wrong, status=422)
    time.sleep(slow_seconds(request.GET.get("slow")))
    status, headers, body = payments.pay(order)
    return JsonResponse(body, status=status, headers=headers)


def item(request, payment_id):
    payment = payments.find(payment_id)
    return JsonResponse(payment or {"error": "no such payment"}, status=200 if payment else 404)


urlpatterns = [path("payments", collection), path("payments/<str:payment_id>", item)]


def configure(**options):
    """Settings as `django-admin startproject` writes them, as far as an API needs them, and the middleware's own."""
    settings.configure(
        ROOT_URLCONF="wsgi",
        SECRET_KEY="of no use here",
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        **options,
    )
    django.setup()


def serve():
    from django.core.wsgi import get_wsgi_application
    from waitress import serve as wait

    wait(get_wsgi_application(), host="127.0.0.1", port=int(os.environ["PORT"]), threads=THREADS)
