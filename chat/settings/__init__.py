"""The settings of this process: the only reader of the environment. The table of them is `rows.py`."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from itertools import chain
from typing import Any

from chat.settings.model_services import SERVICES, ServiceSettings
from chat.settings.rows import Setting, Settings
from chat.settings.sign_in_rows import missing_for_sign_in
from chat.settings.values import read_duration, read_line, read_protocol

__all__ = ["Setting", "Settings", "SettingsError", "load_settings", "read_setting"]

DEPLOYED = (
    *("WEBSITE_SITE_NAME", "WEBSITE_INSTANCE_ID", "WEBSITE_SKU", "WEBSITE_POD_NAME", "LEGION_SERVICE_HOST"),
    *("CONTAINER_NAME", "CONTAINER_APP_NAME", "KUBERNETES_SERVICE_HOST"),
)
"""Variables of which each platform that runs function apps sets at least one, and a laptop none."""

NAME = re.compile(r"[\w.:-]{1,128}")
KEY = re.compile(r"[\w+/=-]{20,}")
"""As long as a key, and one if there is a digit in it."""


class SettingsError(Exception):
    """Everything that is wrong with the settings: `wrong` has a line for each. As text it is one line, since the
    platform shows the last line of a traceback."""

    def __init__(self, *wrong: str) -> None:
        self.wrong = wrong
        super().__init__("; ".join(self.wrong))


READERS: Mapping[str, Callable[[str], object]] = {
    "protocol": read_protocol,
    "first_token_timeout": read_duration,
    "token_gap_timeout": read_duration,
}
"""What reads a field of `ServiceSettings` that is not simply a line."""

SERVICE_SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    provider: {
        each.name: Setting(
            rows[each.name].name,
            rows[each.name].default,
            rows[each.name].help,
            READERS.get(each.name, read_line),
            secret=each.name == "key",
        )
        for each in fields(ServiceSettings)
    }
    for provider, rows in SERVICES.items()
}
"""The rows of the table for each field of a provider's `ServiceSettings`."""

ROWS: Mapping[str, Setting] = {
    each.name: each.metadata["setting"] for each in fields(Settings) if "setting" in each.metadata
}
"""The rows of the table for the other fields of `Settings`."""

SETTINGS: tuple[Setting, ...] = tuple(
    chain.from_iterable(
        [ROWS[each.name]]
        if each.name in ROWS
        else chain.from_iterable(rows.values() for rows in SERVICE_SETTINGS.values())
        for each in fields(Settings)
    )
)

NEEDS: Mapping[str, tuple[str, ...]] = {
    "AZURE": ("AZURE_AI_ENDPOINT",),
    **{name: tuple(row.name for row in rows.values() if row.needed) for name, rows in SERVICES.items()},
}
"""The settings that a provider cannot do without, once it is named."""


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings as the environment gives them. SettingsError lists every bad and every missing one."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for row in SETTINGS:
        text = environ.get(row.name, "").strip() or row.default
        try:
            values[row.name] = _value(row, text)
        except SettingsError as error:
            wrong += error.wrong
    wrong += _missing(values, environ)
    if wrong:
        raise SettingsError(*wrong)
    services = {
        provider: ServiceSettings(**{name: values[row.name] for name, row in rows.items()})
        for provider, rows in SERVICE_SETTINGS.items()
    }
    return Settings(**{name: values[row.name] for name, row in ROWS.items()}, services=services)


def read_setting(name: str, environ: Mapping[str, str] | None = None) -> Any:
    """One setting, for what is needed before the others are. SettingsError for a bad one."""
    row = next(row for row in SETTINGS if row.name == name)
    return _value(row, (os.environ if environ is None else environ).get(name, "").strip() or row.default)


def _value(row: Setting, text: str) -> Any:
    """What the text of a setting stands for. SettingsError says which setting it is and what is wrong."""
    try:
        return row.read(text)
    except ValueError as error:
        what = "its value" if row.secret else shown(text)
        raise SettingsError(f"{row.name}: {what} is not usable: {error}") from None


def shown(text: str) -> str:
    """A value as errors show it, which go to whoever asks: not what may be a key that was put into the wrong row."""
    keys = (each for each in KEY.findall(text) if any(map(str.isdigit, each)))
    return "its value" if any(keys) else repr(text)


def _missing(values: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    missing = [
        f"{name}: missing; CHAT_PROVIDERS names {provider}, which needs it"
        for provider in dict.fromkeys(values.get("CHAT_PROVIDERS", ()))
        for name in NEEDS[provider]
        if not values.get(name)
    ]
    storage = str(values.get("CHAT_STORAGE", ""))
    # Often it is the connection string itself, or a key, which must not be shown.
    if not NAME.fullmatch(storage) or shown(storage) != repr(storage):
        missing.append("CHAT_STORAGE: must be the name of a setting, not what that setting holds")
    elif not storage_values(storage, environ):
        missing.append(f"{storage}: missing; CHAT_STORAGE says that it names the storage account")
    if "*" in values.get("CHAT_CORS_ORIGINS", ()) and values.get("CHAT_CORS_CREDENTIALS"):
        missing.append("CHAT_CORS_CREDENTIALS: not together with CHAT_CORS_ORIGINS=*; name the origins")
    return missing + missing_for_sign_in(values, easy_auth=easy_auth_is_on(environ))


def storage_values(name: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The settings that name a storage account: `""` holds a connection string, else what stood behind `<name>__`
    (`tableServiceUri`, `accountName`, `clientId`, ...). {} when there is nothing."""
    environ = os.environ if environ is None else environ
    found = {"": environ[name]} if environ.get(name) else {}
    prefix = name + "__"
    return found | {
        key[len(prefix) :]: value for key, value in environ.items() if key.startswith(prefix) and value
    }


def on_laptop(environ: Mapping[str, str] | None = None) -> bool:
    """Whether it is certain that this is a laptop: a local host says so, and nothing speaks against it.

    That a variable is missing proves nothing: Flex and Linux Consumption do not set WEBSITE_INSTANCE_ID.
    """
    environ = os.environ if environ is None else environ
    development = environ.get("AZURE_FUNCTIONS_ENVIRONMENT", "").lower() == "development"
    return development and not any(environ.get(name) for name in DEPLOYED)


def easy_auth_is_on(environ: Mapping[str, str] | None = None) -> bool:
    """Whether App Service Authentication stands before the app, which takes its headers away from whoever else writes
    them: then the platform sets this variable."""
    environ = os.environ if environ is None else environ
    return environ.get("WEBSITE_AUTH_ENABLED", "").strip().lower() in {"true", "1"}
