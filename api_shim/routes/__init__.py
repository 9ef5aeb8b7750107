"""The addresses. Each route parses, makes one call, and renders."""

from api_shim.routes import batch_intake, batch_page, batches, connect, connect_form, connect_sessions, service, tasks

ALL = (
    connect.router,
    tasks.router,
    connect_sessions.router,
    batch_intake.router,
    batches.router,
    service.router,
    batch_page.router,
    connect_form.router,
)
