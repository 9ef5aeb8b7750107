"""The addresses. Each route parses, makes one call, and renders."""

from api_shim.routes import (
    accounts,
    audit_log,
    batch_intake,
    batch_page,
    batches,
    connect,
    connect_form,
    connect_sessions,
    disconnect,
    internal,
    profiles,
    service,
    tasks,
    webhooks,
    workspace,
)

ALL = (
    connect.router,
    accounts.router,
    disconnect.router,
    tasks.router,
    connect_sessions.router,
    batch_intake.router,
    batches.router,
    webhooks.router,
    profiles.router,
    workspace.router,
    audit_log.router,
    internal.router,
    service.router,
    batch_page.router,
    connect_form.router,
)
