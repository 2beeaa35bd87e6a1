"""The settings of sockets."""

from dataclasses import dataclass

from chat.settings.setting_row import setting
from chat.settings.values import read_count, read_events_way, read_hub, read_line, read_origins, read_switch


@dataclass(frozen=True, kw_only=True)
class SocketSettings:
    """Part of `Settings`."""

    web_pubsub: str = setting(
        "WebPubSubConnectionString",
        "",
        "The Web PubSub service that carries the sockets: its connection string. Without this setting and the next one "
        "there are no sockets.",
        secret=True,
    )
    web_pubsub_endpoint: str = setting(
        "WebPubSubConnectionString__serviceUri",
        "",
        "The same for a managed identity: the address of the service, `https://<name>.webpubsub.azure.com`.",
        read_line,
    )
    web_pubsub_hub: str = setting("WebPubSubHub", "chat", "The hub of that service.", read_hub)
    web_pubsub_events: str = setting(
        "CHAT_WEBPUBSUB_EVENTS",
        "trigger",
        "How the service's events come in: `trigger` (the Functions extension, at /runtime/webhooks/webpubsub) or "
        "`http` (the app's own route, at /api/webpubsub/events, which needs no extension).",
        read_events_way,
    )
    socket_minutes: int = setting(
        "CHAT_SOCKET_URL_MINUTES", "5", "Minutes for which a URL to connect to is good.", read_count
    )
    socket_direct: bool = setting(
        "CHAT_SOCKET_DIRECT",
        "false",
        "Whether a socket may open without negotiation: `true` or `false`. The hub must let clients in without a token "
        "(`anonymousConnectPolicy: allow`); the app asks who it is when it connects.",
        read_switch,
    )
    socket_origins: frozenset[str] = setting(
        "CHAT_SOCKET_ORIGINS",
        "",
        "The origins of the web pages that may open a socket so, such as `https://chat.example.com`, or "
        "`http://localhost:*` for every port. Clients that are no web page name none. `make run` adds its own.",
        read_origins,
    )
    session_connections: int = setting(
        "CHAT_MAX_CONNECTIONS_PER_SESSION", "1000", "Sockets that one session may have.", read_count
    )
    user_connections: int = setting(
        "CHAT_MAX_CONNECTIONS_PER_USER", "20", "Sockets that one user may have in a session.", read_count
    )
