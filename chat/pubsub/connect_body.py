"""What `connect` tells of a client's handshake, whichever way it comes: the trigger and CloudEvents name it alike.

Shapes: docs "reference-cloud-events" of Azure Web PubSub, 2026. Other system events tell none of it.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from chat.pubsub.socket_events import lower_names
from chat.schemas.fields import Body

type Lists = dict[str, list[str]]


class ConnectBody(Body):
    """Its bounds are those of the service's own handshake, and of the body."""

    query: Lists = Field(default_factory=dict)
    subprotocols: list[str] = Field(default_factory=list)
    headers: Annotated[Lists, AfterValidator(lower_names)] = Field(default_factory=dict)
