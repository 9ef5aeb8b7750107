"""The addresses. Each route parses, makes one call, and renders."""

from api_shim.routes import (
    accounts,
    batch_intake,
    batch_page,
    batches,
    connect,
    connect_form,
    connect_sessions,
    profiles,
    service,
    tasks,
    workspace,
)

ALL = (
    connect.router,
    accounts.router,
    tasks.router,
    connect_sessions.router,
    batch_intake.router,
    batches.router,
    profiles.router,
    workspace.router,
    service.router,
    batch_page.router,
    connect_form.router,
)
