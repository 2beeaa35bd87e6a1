"""AG-UI: runs, and the way back to them."""

from chat.routes.route_table import Route, Routes

ROUTES: Routes = {
    "/api/ag-ui": {
        "POST": Route(
            "doors:enter",
            "run an agent by AG-UI, and stream its events",
            again="doors:enter_again",
            streams=True,
            dialect="ag-ui",
            name="ag_ui",
        ),
        "GET": Route(
            "returning:come_back",
            "join a run by AG-UI, or read a thread",
            query="ReturnQuery",
            streams=True,
            dialect="ag-ui",
            problems=(404, 410),
        ),
    },
}
