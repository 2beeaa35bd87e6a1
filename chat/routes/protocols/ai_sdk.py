"""Vercel's AI SDK: what its transports for HTTP ask for."""

from chat.routes.route_table import Route, Routes

ROUTES: Routes = {
    "/api/chat": {
        "POST": Route(
            "doors:enter",
            "ask from useChat of the AI SDK, and stream the answer",
            again="doors:enter_again",
            dialect="ai-sdk",
            name="ui_chat",
        ),
    },
    "/api/chat/{chat_id}/stream": {
        "GET": Route(
            "ai_sdk:resume_ui_stream",
            "follow the turn that runs in a chat",
            query="chat.dialects.ai_sdk.body_schemas:UIResumeQuery",
            streams=True,
            statuses=(200, 204),
            problems=(410,),
            refuses="ai-sdk",
        ),
    },
    "/api/chat/{chat_id}/stop": {
        "POST": Route(
            "ai_sdk:stop_ui_stream",
            "stop the turn that runs in a chat",
            body="chat.dialects.ai_sdk.body_schemas:UIStopBody",
            needs_body=False,
            reply="chat.dialects.ai_sdk.body_schemas:UIStopped",
            refuses="ai-sdk",
        ),
    },
}
