"""What a tool of a server answered, as text for the model. Images, sounds and files are named, and left out."""

import json
from collections.abc import Iterable, Iterator

from mcp_types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from chat.tools.remote.mcp_texts import cleaned

MAX_LINE = 300  # characters of a name, a type or an address


def read_result(result: CallToolResult) -> str:
    """Its texts, then its structured content, unless one of the texts is the same."""
    texts = list(_texts(result.content))
    if result.structured_content is not None and not _said(result.structured_content, result.content):
        texts.append(json.dumps(result.structured_content, ensure_ascii=False))
    return "\n".join(texts) or "Done, without an output."


def _texts(blocks: Iterable[ContentBlock]) -> Iterator[str]:
    for block in blocks:
        match block:
            case TextContent(text=text):
                yield text
            case ImageContent(data=data, mime_type=kind):
                yield _left_out("image", kind, f"{_size(data)} bytes")
            case AudioContent(data=data, mime_type=kind):
                yield _left_out("sound", kind, f"{_size(data)} bytes")
            case ResourceLink(name=name, uri=uri, mime_type=kind):
                yield _left_out("resource", name, str(uri), kind or "")
            case EmbeddedResource(resource=held):
                size = (
                    f"{len(held.text)} characters"
                    if isinstance(held, TextResourceContents)
                    else f"{_size(held.blob)} bytes"
                )
                yield _left_out("resource", str(held.uri), held.mime_type or "", size)


def _left_out(*said: str) -> str:
    """`[image image/png 512 bytes: not shown]`"""
    return f"[{' '.join(' '.join(cleaned(each)[:MAX_LINE].split()) for each in said if each)}: not shown]"


def _size(base64: str) -> int:
    return len(base64.rstrip("=")) * 3 // 4


def _said(structured: object, blocks: Iterable[ContentBlock]) -> bool:
    """Servers repeat it as a text for clients that know no structure; those of the `mcp` package put a text into an
    object for this alone."""
    texts = [block.text for block in blocks if isinstance(block, TextContent)]
    return any(structured == {"result": text} or _is_json_of(structured, text) for text in texts)


def _is_json_of(structured: object, text: str) -> bool:
    try:
        return json.loads(text) == structured
    except (ValueError, RecursionError):
        return False
