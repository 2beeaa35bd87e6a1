"""Durable Streams, the read side: turns as streams that any cache can hold."""

from functools import partial

from chat.routes.route_table import Route, Routes

READ = partial(
    Route,
    "turn_streams:read_stream",
    role="viewer",
    by_link=True,
    query="turn_stream_schemas:TurnStreamQuery",
    reply="turn_stream_schemas:TurnMessages",
    statuses=(200, 204, 304),
    kinds=("text/event-stream",),
    problems=(400, 410),
)

ROUTES: Routes = {
    "/api/streams/turns/{turn_id}": {
        "GET": READ("a turn as a durable stream"),
        "HEAD": READ("where its end is"),
    },
    "/api/streams/turns/{turn_id}/links": {
        "POST": Route(
            "turn_streams:make_link",
            "make a link by which anybody may read it",
            role="editor",
            scope="manage",
            body="turn_stream_schemas:LinkBody",
            needs_body=False,
            reply="turn_stream_schemas:TurnLink",
            statuses=(201,),
        ),
    },
}
