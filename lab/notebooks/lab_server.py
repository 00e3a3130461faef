"""Starts JupyterLab in `.notebooks`.  It answers nothing outside its path, which nobody has but who was told it.

A browser sends a cookie to every port of a host (RFC 6265 section 8.5), so to the ports of other accounts of this
machine as well, but only to paths under the cookie's own.  JupyterLab would say its path to everyone: on the page for
what is not found, for example.
"""

import sys

from jupyter_server.serverapp import ServerWebApplication
from jupyterlab.labapp import main
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.web import Application, ErrorHandler


def find_handler(self: Application, request: HTTPServerRequest, **more: object) -> HTTPMessageDelegate:
    """Find what answers a request: outside of the path, nothing of Jupyter's."""
    if not request.path.startswith(self.settings["base_url"]):
        return self.get_handler_delegate(request, ErrorHandler, {"status_code": 404})
    return Application.find_handler(self, request, **more)


if __name__ == "__main__":
    ServerWebApplication.find_handler = find_handler
    sys.exit(main())
