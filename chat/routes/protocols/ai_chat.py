"""Microsoft's AI Chat Protocol: an answer whole, or as it comes."""

from chat.routes.route_table import Route, Routes

ROUTES: Routes = {
    "/api/ai-chat": {
        "POST": Route(
            "doors:enter",
            "ask by the AI Chat Protocol, answered whole",
            again="doors:enter_again",
            reply="chat.dialects.ai_chat.ai_chat_schemas:AiChatCompletion",
            dialect="ai-chat",
            name="ai_chat_whole",
        ),
    },
    "/api/ai-chat/stream": {
        "POST": Route(
            "doors:enter",
            "ask by the AI Chat Protocol, answered in lines",
            again="doors:enter_again",
            streams=True,
            dialect="ai-chat",
            name="ai_chat_stream",
        ),
    },
}
