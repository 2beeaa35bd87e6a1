"""Vercel's AI SDK: what its transports for HTTP ask for."""

from chat.routes.route_table import Route, Routes

ROUTES: Routes = {
    "/api/chat": {
        "POST": Route(
            "doors:enter",
            "ask from useChat of the AI SDK, and stream the answer",
            again="doors:enter_again",
            streams=True,
            dialect="ai-sdk",
            name="ui_chat",
        ),
    },
    "/api/chat/{chat_id}/stream": {
        "GET": Route(
            "ui_streams:resume_ui_stream",
            "follow the turn that runs in a chat",
            query="ui_stream_schemas:UIResumeQuery",
            streams=True,
            statuses=(200, 204),
            problems=(410,),
            dialect="ai-sdk",
        ),
    },
    "/api/chat/{chat_id}/stop": {
        "POST": Route(
            "ui_streams:stop_ui_stream",
            "stop the turn that runs in a chat",
            body="ui_stream_schemas:UIStopBody",
            needs_body=False,
            reply="ui_stream_schemas:UIStopped",
            refuses="ai-sdk",
        ),
    },
}
