"""What OpenAI's routes answer with, as models."""

from typing import Literal

from chat.dialects.shape_schemas import Shown
from chat.schemas.fields import examples


class Model(Shown):
    """A model that may be named in a request. When it was made nobody tells us."""

    model_config = examples({"id": "model-router", "object": "model", "created": 0, "owned_by": "azure"})

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class Models(Shown):
    """All of them, the one first that answers where another name is given."""

    object: Literal["list"]
    data: list[Model]
