"""A stand-in for Azure Web PubSub: the client endpoint, the event handlers' calls and the REST API, in memory."""
