"""Plain stand-ins for the protobuf classes that `azure_functions_runtime` reads and makes.

This module is what the library gets as its `protos`. Messages have only the fields that were given to them; the
names are those of FunctionRpc.proto.
"""

from types import SimpleNamespace


class Message(SimpleNamespace):
    """A message without behaviour."""


class TypedData(Message):
    """One value. Its only field (string, json, bytes, http, ...) says of which kind it is."""

    def WhichOneof(self, group: str) -> str | None:
        return next(iter(vars(self)), None)


class ParameterBinding(Message):
    """A named value that goes in or out: `name` and `data`."""

    def WhichOneof(self, group: str) -> str:
        return "data"


class StatusResult(Message):
    """How a request to the worker ended: `status`, and `exception` when it failed."""

    Failure = 0
    Success = 1
    Cancelled = 2


class BindingInfo(Message):
    """Type and direction of a binding. The direction `in`, a keyword, is set below."""

    out = 1
    inout = 2


setattr(BindingInfo, "in", 0)


class RpcHttp(Message):
    """What the worker gets of an HTTP request beside the forwarded request itself: the route parameters."""


class RpcException(Message):
    """`message` and `stack_trace`."""


class WorkerMetadata(Message):
    """Versions that the worker reports."""


class WorkerInitResponse(Message):
    """`capabilities`, among them HttpUri, and `result`."""


class RpcRetryOptions(Message):
    """A function's retry policy."""


class RpcFunctionMetadata(Message):
    """One indexed function: `name`, `function_id`, `raw_bindings` (JSON texts)."""


class FunctionMetadataResponse(Message):
    """All indexed functions."""


class FunctionLoadResponse(Message):
    """The answer to a load request."""


class InvocationResponse(Message):
    """`result`, `return_value` and `output_data` of one invocation."""


def trace_context() -> Message:
    """A trace context that says nothing."""
    return Message(trace_parent="", trace_state="", attributes={})


def retry_context() -> Message:
    """The retry context of a first attempt."""
    return Message(retry_count=0, max_retry_count=0, exception=None)


def http_data(params: dict[str, str]) -> TypedData:
    """The nearly empty HTTP request that goes with a forwarded one."""
    return TypedData(http=RpcHttp(method="", url="", headers={}, query={}, params=params, body=TypedData()))
