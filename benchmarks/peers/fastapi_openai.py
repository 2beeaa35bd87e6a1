"""The ordinary app: FastAPI and the openai SDK, one SSE frame for every chunk. It stores nothing.

`python -m benchmarks.peers.fastapi_openai PORT MODEL_URL`
"""

import json
import sys
from collections.abc import AsyncGenerator
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from pydantic import BaseModel


class ChatBody(BaseModel):
    messages: list[dict[str, Any]]


def make_app(model_url: str) -> FastAPI:
    app = FastAPI()
    client = AsyncOpenAI(base_url=f"{model_url}/openai/v1", api_key="any")

    async def frames(messages: Any) -> AsyncGenerator[str]:
        stream = await client.chat.completions.create(model="model-router", messages=messages, stream=True)
        async for chunk in stream:
            text = chunk.choices[0].delta.content if chunk.choices else None
            if text:
                yield f"data: {json.dumps({'type': 'text.delta', 'delta': text})}\n\n"
        yield "data: [DONE]\n\n"

    @app.post("/api/chat/stream")
    async def stream(body: ChatBody) -> StreamingResponse:
        return StreamingResponse(frames(body.messages), media_type="text/event-stream")

    assert stream
    return app


if __name__ == "__main__":
    uvicorn.run(make_app(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
