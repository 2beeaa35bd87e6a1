"""How Databricks is signed in to, for whoever asks it: by databricks-sdk's own configuration.

Whatever works for its `WorkspaceClient` works here. To import that SDK takes 2 s, and what it does blocks: call what is
here in a thread.
"""

from dataclasses import dataclass
from typing import Any

from chat.settings import Settings

CALL = 20  # seconds that one HTTP request may take
RETRYING = 5  # seconds in which the SDK tries one again


@dataclass(frozen=True, slots=True)
class DatabricksAccess:
    """A workspace, and the token, the service principal or the profile that may ask it. What is not given the SDK looks
    for itself: in the environment, in its file, at the platform."""

    host: str = ""
    token: str = ""
    client_id: str = ""
    client_secret: str = ""
    profile: str = ""
    auth_type: str = ""

    @property
    def configured(self) -> bool:
        """Whether somebody said who asks which workspace."""
        signed = self.token or (self.client_id and self.client_secret) or self.auth_type
        return bool(self.profile or (self.host and signed))

    @property
    def needs_no_sdk(self) -> bool:
        """Whether the token alone is all there is to say."""
        return bool(self.host and self.token) and self.auth_type in ("", "pat")

    @property
    def url(self) -> str:
        """The workspace as a URL without a path; "" when none is given."""
        host = self.host.strip()
        scheme, _, rest = host.rpartition("://")
        return f"{scheme or 'https'}://{rest.partition('/')[0]}" if host else ""


def databricks_access(settings: Settings) -> DatabricksAccess:
    """As the settings have it."""
    service = settings.services["DATABRICKS"]
    return DatabricksAccess(
        service.endpoint,
        service.key,
        settings.databricks_client_id,
        settings.databricks_client_secret,
        settings.databricks_profile,
        settings.databricks_auth_type,
    )


def make_config(access: DatabricksAccess) -> Any:
    """The SDK's `Config`, signed in. Where a token or a service principal is named, everything is said here, so that
    nothing that lies about in the environment is in its way. Raises whatever the SDK does."""
    from databricks.sdk.config import Config

    given: dict[str, Any] = {"host": access.url, "profile": access.profile, "auth_type": access.auth_type}
    if not access.auth_type and access.token:
        given |= {"token": access.token, "auth_type": "pat"}
    elif not access.auth_type and access.client_id and access.client_secret:
        given |= {
            "client_id": access.client_id,
            "client_secret": access.client_secret,
            "auth_type": "oauth-m2m",
        }
        if access.url:
            given["discovery_url"] = f"{access.url}/oidc/.well-known/oauth-authorization-server"
    else:
        given |= {"token": access.token, "client_id": access.client_id, "client_secret": access.client_secret}
    said = {name: value for name, value in given.items() if value}
    return Config(http_timeout_seconds=CALL, retry_timeout_seconds=RETRYING, **said)
