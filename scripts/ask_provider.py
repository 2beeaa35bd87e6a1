"""Asks one model provider of the settings one question, and shows every piece of its reply with its time.

For whoever wants to know whether an endpoint, a key and a model are right before a deployment:
`LOCAL_AI_ENDPOINT=... LOCAL_AI_MODEL=... .venv/bin/python -m scripts.ask_provider LOCAL "Good morning"`.
Options of the request stand behind, as JSON: `'{"max_tokens": 20, "temperature": 0}'`.
"""

import asyncio
import json
import os
import sys
import time
from contextlib import aclosing
from typing import Any

from chat.errors import ProviderError
from chat.providers.base import ModelMessage, ModelProvider, ModelRequest
from chat.providers.build import build_providers
from chat.settings import SettingsError, load_settings

REQUEST = ("temperature", "top_p", "max_tokens")
STORAGE = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}  # the settings want one; nothing is stored


def question(text: str, options: dict[str, Any]) -> ModelRequest:
    """The request; options that are not its own become extras of the body."""
    named = {name: options.pop(name) for name in REQUEST if name in options}
    return ModelRequest(messages=(ModelMessage("user", text),), extras=options, **named)


async def ask(provider: ModelProvider, request: ModelRequest) -> int:
    began = time.monotonic()
    try:
        async with aclosing(provider.stream(request)) as deltas:
            async for delta in deltas:
                print(f"{(time.monotonic() - began) * 1000:6.0f} ms  {delta}", flush=True)
    except ProviderError as error:
        print(f"{(time.monotonic() - began) * 1000:6.0f} ms  {error.code}: {error}")
        return 1
    finally:
        await provider.aclose()
    return 0


def main() -> int:
    name, text, *options = sys.argv[1:]
    try:
        settings = load_settings(STORAGE | os.environ | {"CHAT_PROVIDERS": name})
        [provider] = build_providers(settings).values()
    except SettingsError as error:
        print(*error.wrong, sep="\n")
        return 2
    return asyncio.run(ask(provider, question(text, json.loads(options[0]) if options else {})))


if __name__ == "__main__":
    sys.exit(main())
