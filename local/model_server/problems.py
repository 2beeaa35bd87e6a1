"""Errors as Azure's model endpoints write them."""

from typing import NamedTuple

MESSAGES = {
    400: "The request is not valid.",
    401: "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key "
    "for an active subscription and use a correct regional API endpoint for your resource.",
    403: "Access to this deployment is forbidden.",
    404: "Resource not found",
    408: "The operation was timeout.",
    429: "Requests to this deployment have exceeded the token rate limit of its pricing tier. "
    "Please retry later.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The service is temporarily unable to process your request. Please try again later.",
}


class Problem(Exception):
    """An answer that is an error: status, body and headers."""

    def __init__(
        self, status: int, message: str = "", *, code: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body: dict[str, object] = {"error": error_object(status, message, code=code)}


def error_object(status: int, message: str = "", *, code: str = "") -> dict[str, object]:
    """What stands under `error`: in a body, or in a frame of a stream that breaks."""
    return {"code": code or str(status), "message": message or MESSAGES.get(status, f"Status {status}.")}


class Harm(NamedTuple):
    """How the content filter judged one kind of harm."""

    filtered: bool
    severity: str


SAFE = Harm(filtered=False, severity="safe")


def filter_results(*, violence: Harm = SAFE) -> dict[str, object]:
    """`content_filter_results`: only violence is ever found."""
    kinds = {"hate": SAFE, "self_harm": SAFE, "sexual": SAFE, "violence": violence}
    return {kind: harm._asdict() for kind, harm in kinds.items()}


def content_filter_problem() -> Problem:
    """400 with the code and the inner error that the filter gives for a prompt."""
    problem = Problem(400)
    problem.body = {
        "error": {
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management "
            "policy. Please modify your prompt and retry.",
            "type": None,
            "param": "prompt",
            "code": "content_filter",
            "status": 400,
            "innererror": {
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": filter_results(violence=Harm(filtered=True, severity="medium")),
            },
        }
    }
    return problem
