"""A stand-in for an Azure AI model-router deployment; README.md says what it does and what not."""

from local.model_server.answers import expected_text
from local.model_server.server import make_app, serve

__all__ = ["expected_text", "make_app", "serve"]
