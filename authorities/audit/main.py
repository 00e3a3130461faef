"""The audit authority: takes every party's journal, and publishes all records in one log that anybody can verify.

Every caller is a workload with a certificate.  No token is issued for this party, so no user's authority reaches it.
"""

from fastapi import FastAPI
from starlette.types import ASGIApp

from zerotrust.routes import Public, Routes
from zerotrust.runtime import run
from zerotrust.service import Service

ROUTES: Routes = {
    ("GET", "/health"): Public(),
}


def create_app(service: Service) -> ASGIApp:
    """Return the audit authority, guarded."""
    app: FastAPI = service.app()
    return service.guard(app, ROUTES)


if __name__ == "__main__":
    run("authority/audit", create_app)
