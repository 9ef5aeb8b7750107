"""The addresses. Each route parses, makes one call, and renders."""

from api_shim.routes import batch_intake, batch_page, batches, connect, service, tasks, webhooks

ALL = (
    connect.router,
    tasks.router,
    batch_intake.router,
    batches.router,
    webhooks.router,
    service.router,
    batch_page.router,
)
