"""localstripe, a sandbox of Stripe's API: a program, and no middleware. Started as its own `start()` does, but on
loopback alone and without the file in which it keeps its objects from one run to the next.
"""

import os

from aiohttp import web
from localstripe.resources import Store
from localstripe.server import app

Store.dump_to_disk = lambda self: None
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None, access_log=None)
