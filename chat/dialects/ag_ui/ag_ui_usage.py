"""What a run used, by the service and the model that answered."""

from chat.events import JSON, JSONObject


class UsageSum:
    """Sums for `usage` of the last event."""

    def __init__(self) -> None:
        self._who = ("", "")
        self._sums: dict[tuple[str, str], list[int]] = {}

    def chosen(self, provider: str, model: str) -> None:
        """Who uses what is added from here on."""
        self._who = (provider, model)

    def add(self, prompt_tokens: int, completion_tokens: int) -> None:
        tokens = self._sums.setdefault(self._who, [0, 0])
        tokens[0] += prompt_tokens
        tokens[1] += completion_tokens

    @property
    def shown(self) -> JSONObject:
        """`{"usage": [...]}`; `{}` where no service said."""
        entries: list[JSON] = [_entry(*who, *tokens) for who, tokens in self._sums.items()]
        return {"usage": entries} if entries else {}


def _entry(provider: str, model: str, prompt: int, completion: int) -> JSONObject:
    who: JSONObject = {"provider": provider} if provider else {}
    if model:
        who["model"] = model
    return {**who, "inputTokens": prompt, "outputTokens": completion, "totalTokens": prompt + completion}
