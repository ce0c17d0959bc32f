"""The payments API in FastAPI, for the middlewares that wrap an ASGI application."""

import asyncio
import os

import uvicorn
from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse

from payments import Payments, refusal, slow_seconds


def payments_app():
    payments = Payments()
    app = FastAPI()

    @app.get("/payments")
    async def all_payments():
        return payments.all()

    @app.get("/payments/{payment_id}")
    async def one_payment(payment_id: str):
        payment = payments.find(payment_id)
        return JSONResponse(payment or {"error": "no such payment"}, 200 if payment else 404)

    @app.post("/payments")
    async def pay(order: dict = Body(), slow: str = ""):
        if wrong := refusal(order):
            return JSONResponse(wrong, 422)
        await asyncio.sleep(slow_seconds(slow))
        status, headers, body = payments.pay(order)
        return JSONResponse(body, status, headers)

    return app


def serve(app):
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
