"""Workspaces and their profiles: who owns accounts."""

from connections.contract.base import PageMeta, Timestamp, WireModel


class Profile(WireModel):
    """`account_count` is without those that are disconnected. The branding is for the hosted form."""

    id: str
    workspace_id: str
    name: str
    account_count: int
    created_at: Timestamp
    updated_at: Timestamp
    branding_logo_url: str | None
    branding_display_name: str | None
    branding_primary_color: str | None


class ProfileAnswer(WireModel):
    data: Profile
    request_id: str


class ProfilesAnswer(WireModel):
    data: list[Profile]
    meta: PageMeta
    request_id: str


class Workspace(WireModel):
    """`per_account_monthly_limit` is kept for the SDKs that set it: nothing here publishes, so nothing counts."""

    id: str
    name: str
    per_account_monthly_limit: int | None
    usage_modes: list[str]
    return_urls: list[str]
    created_at: Timestamp
    updated_at: Timestamp


class WorkspaceAnswer(WireModel):
    data: Workspace
    request_id: str
