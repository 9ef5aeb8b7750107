"""The addresses. Each route parses, makes one call, and renders."""

from api_shim.routes import connect, service, tasks

ALL = (connect.router, tasks.router, service.router)
