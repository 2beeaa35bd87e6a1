"""The settings of the models: who is asked, how often, and what a model is shown."""

from collections.abc import Mapping
from dataclasses import dataclass

from chat.settings.model_services import ServiceSettings
from chat.settings.setting_row import setting
from chat.settings.values import (
    PROVIDERS,
    read_count,
    read_duration,
    read_line,
    read_positive,
    read_protocol,
    read_providers,
    read_summary,
)

SYSTEM_PROMPT = "You are a helpful AI assistant for Presto-Change-O, an industry simulation dashboard."


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Part of `Settings`."""

    providers: tuple[str, ...] = setting(
        "CHAT_PROVIDERS",
        "AZURE",
        f"The model providers, in the order in which they are asked: some of {', '.join(PROVIDERS)}.",
        read_providers,
    )
    azure_endpoint: str = setting(
        "AZURE_AI_ENDPOINT",
        "",
        "The model endpoint: `https://<resource>.services.ai.azure.com/openai/v1` or "
        "`https://<resource>.openai.azure.com/openai/deployments/<name>`.",
    )
    azure_key: str = setting(
        "AZURE_AI_KEY", "", "Its key. Without one, DefaultAzureCredential signs in.", read_line, secret=True
    )
    azure_model: str = setting("AZURE_AI_MODEL", "model-router", "The deployment to ask.")
    azure_api_version: str = setting(
        "AZURE_AI_API_VERSION",
        "",
        "The `api-version` to send; by default `v1` to /openai/v1 and `2024-10-21` to /openai/deployments.",
    )
    azure_protocol: str = setting(
        "AZURE_AI_PROTOCOL",
        "chat",
        "The protocol that it is asked by: `chat` (chat completions) or `responses`.",
        read_protocol,
    )
    azure_scope: str = setting(
        "AZURE_AI_SCOPE",
        "",
        "The token scope of an identity; by default `https://ai.azure.com/.default` on services.ai.azure.com and "
        "`https://cognitiveservices.azure.com/.default` elsewhere.",
    )
    azure_first_token_timeout: float = setting(
        "AZURE_AI_FIRST_TOKEN_TIMEOUT_S",
        "60",
        "Seconds the model may think before its first word.",
        read_duration,
    )
    azure_token_gap_timeout: float = setting(
        "AZURE_AI_TOKEN_GAP_TIMEOUT_S", "30", "Seconds the model may pause between two words.", read_duration
    )
    services: Mapping[str, ServiceSettings]  # of every provider but AZURE
    openrouter_site: str = setting(
        "OPENROUTER_AI_SITE",
        "",
        "The address of your app, which OPENROUTER may show beside its usage.",
        read_line,
    )
    openrouter_title: str = setting(
        "OPENROUTER_AI_TITLE", "Parley", "The name of your app, likewise.", read_line
    )
    reasoning_summary: str = setting(
        "CHAT_REASONING_SUMMARY",
        "",
        "What kind of summary of its reasoning a model is asked for by the Responses protocol: `auto`, `concise` or "
        "`detailed`; by default none. Models that do not reason may refuse it.",
        read_summary,
    )
    attempts: int = setting(
        "CHAT_RETRY_ATTEMPTS",
        "3",
        "How often one model service is asked before the next one is, as long as it said nothing.",
        read_count,
    )
    retry_wait: float = setting(
        "CHAT_RETRY_WAIT_S",
        "1",
        "Seconds before the second attempt; each further wait is twice as long.",
        read_duration,
    )
    retry_after_max: float = setting(
        "CHAT_RETRY_AFTER_MAX_S",
        "10",
        "The longest `Retry-After` of a model service that is waited for; with a longer one the next is asked.",
        read_duration,
    )
    breaker_failures: int = setting(
        "CHAT_BREAKER_FAILURES",
        "5",
        "Turns in a row that found a model service down, after which it is left alone.",
        read_count,
    )
    breaker_rest: float = setting(
        "CHAT_BREAKER_REST_S",
        "30",
        "Seconds for which it is left alone; then one request is let through.",
        read_positive,
    )
    system_prompt: str = setting(
        "CHAT_SYSTEM_PROMPT", SYSTEM_PROMPT, "What the model is told before every conversation."
    )
    history_messages: int = setting(
        "CHAT_HISTORY_MESSAGES",
        "100",
        "How many of the newest messages the model is shown at most.",
        read_count,
    )
    context_tokens: int = setting(
        "CHAT_CONTEXT_TOKENS",
        "100000",
        "How many tokens of a conversation the model is shown; what is older is summarised. The models behind "
        "model-router have windows of 128,000 tokens and more, and the answer needs room too.",
        read_count,
    )
