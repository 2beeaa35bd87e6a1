"""The items of a response in their places."""

from chat.events import JSONObject


class Output:
    """An item has its place from its beginning on, and its id by that place: services may use the id of a call
    twice."""

    def __init__(self, turn_id: str) -> None:
        self._turn_id = turn_id
        self.items: list[JSONObject] = []

    def add(self, kind: str, item: JSONObject, identifier: str = "") -> tuple[int, str, JSONObject]:
        """Its place, its id, and the event that tells of it."""
        index = len(self.items)
        identifier = identifier or f"{kind}_{self._turn_id}_{index}"
        self.items.append({**item, "id": identifier})
        return (
            index,
            identifier,
            {
                "type": "response.output_item.added",
                "output_index": index,
                "item": self.items[index],
            },
        )

    def done(self, index: int, item: JSONObject) -> JSONObject:
        """The event that tells that it is whole."""
        self.items[index] = item
        return {"type": "response.output_item.done", "output_index": index, "item": item}
