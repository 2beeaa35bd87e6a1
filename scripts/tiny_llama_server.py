"""Serves a language model of random weights with llama.cpp, so that LOCAL can be tried without a download of one.

Needs packages that Parley does not (`pip install xllamacpp gguf`, in an environment of their own; xllamacpp is
llama.cpp and its HTTP server as a wheel). `python scripts/tiny_llama_server.py [port]` writes a model of half a
megabyte, prints the URL, and serves until it is stopped. docs/providers.md shows a run.
"""

import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import gguf  # pyright: ignore[reportMissingImports]
import numpy as np
import xllamacpp  # pyright: ignore[reportMissingImports]

CONTEXT, WIDTH, LAYERS, HEADS, FEED_FORWARD = 2048, 64, 2, 4, 128
CONTROL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WORDS = [
    "the",
    "a",
    "of",
    "and",
    "in",
    "is",
    "on",
    "as",
    "we",
    "up",
    "so",
    "no",
    "my",
    "go",
    "plant",
    "order",
    "sale",
]
TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"


def write_model(path: Path) -> None:
    """A llama of two layers. The same weights each time, so that it always gives the same answer."""
    writer: Any = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    _add_vocabulary(writer)
    _add_weights(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: Any) -> None:
    """Words to answer with, and every byte, so that any text can be read and any grammar followed."""
    kinds = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*CONTROL, *BYTES, *(f"▁{word}" for word in WORDS)])
    writer.add_token_scores([0.0] * (len(CONTROL) + len(BYTES)) + [-1.0 - rank for rank in range(len(WORDS))])
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL] + [kinds.BYTE] * 256 + [kinds.NORMAL] * len(WORDS)
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)


def _add_weights(writer: Any) -> None:
    random = np.random.default_rng(7)
    rows = len(CONTROL) + len(BYTES) + len(WORDS)

    def add(name: str, *shape: int, scale: float = 0.2) -> None:
        writer.add_tensor(name, random.normal(0, scale, shape).astype(np.float32))

    output = random.normal(0, 1, (rows, WIDTH)).astype(np.float32)
    output[: rows - len(WORDS)] *= 0.01  # it says words, unless a grammar wants bytes
    add("token_embd.weight", rows, WIDTH, scale=1.0)
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}.{norm}.weight", np.ones(WIDTH, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"{block}.{name}.weight", WIDTH, WIDTH)
        add(f"{block}.ffn_gate.weight", FEED_FORWARD, WIDTH)
        add(f"{block}.ffn_up.weight", FEED_FORWARD, WIDTH)
        add(f"{block}.ffn_down.weight", WIDTH, FEED_FORWARD)


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "tiny.gguf"
        write_model(model)
        params: Any = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_ctx, params.n_parallel, params.warmup = CONTEXT, 1, False
        params.cpuparams.n_threads = 1
        params.model_alias = {"tiny"}
        params.hostnames, params.port = ["127.0.0.1"], port
        server = xllamacpp.Server(params)
        print(f"LOCAL_AI_ENDPOINT={server.listening_address}/v1 LOCAL_AI_MODEL=tiny", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
