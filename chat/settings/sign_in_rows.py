"""The settings of who may ask."""

from dataclasses import dataclass

from chat.settings.setting_row import setting
from chat.settings.values import read_level, read_names


@dataclass(frozen=True, kw_only=True)
class SignInSettings:
    """Part of `Settings`."""

    auth: tuple[str, ...] = setting(
        "CHAT_AUTH", "dev", "Who may ask, tried in order: `dev` (for laptops; refused elsewhere).", read_names
    )
    http_auth_level: str = setting(
        "CHAT_HTTP_AUTH_LEVEL",
        "ANONYMOUS",
        "The key that the Functions host asks for: ANONYMOUS, FUNCTION or ADMIN.",
        read_level,
    )
