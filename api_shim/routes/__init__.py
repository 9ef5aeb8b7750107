"""The addresses. Each route parses, makes one call, and renders."""

from api_shim.routes import (
    audit_log,
    batch_intake,
    batch_page,
    batches,
    connect,
    disconnect,
    service,
    tasks,
    webhooks,
)

ALL = (
    connect.router,
    disconnect.router,
    tasks.router,
    batch_intake.router,
    batches.router,
    webhooks.router,
    audit_log.router,
    service.router,
    batch_page.router,
)
