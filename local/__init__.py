"""Stand-ins for the services that Parley uses in Azure. They never import `chat`."""
