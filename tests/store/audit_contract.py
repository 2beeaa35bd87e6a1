"""The rules of the audit log, as a suite like those of `contract.py`."""

from datetime import timedelta

import pytest

from chat.errors import ValidationError
from chat.store.audit_store import AuditEntry
from tests.store.builders import NOW, PLANES, Stores


def entry(number: int, user_id: str = "ann") -> AuditEntry:
    return AuditEntry(NOW + timedelta(seconds=number), "root", "list_messages", user_id, f"/x/{number}")


class AuditContract:
    async def test_lines_are_listed_newest_first_page_by_page(self, store: Stores) -> None:
        lines = [entry(number) for number in range(7)]
        for line in lines:
            await store.audit.note_audit(line)
        found: list[AuditEntry] = []
        cursor: str | None = None
        for size in (3, 3, 1):
            page = await store.audit.list_audit(limit=3, cursor=cursor)
            assert len(page.items) == size
            found += page.items
            cursor = page.next_cursor
        assert cursor is None
        assert found == lines[::-1]

    async def test_an_empty_log_is_an_empty_page(self, store: Stores) -> None:
        page = await store.audit.list_audit(limit=3)
        assert (page.items, page.has_more) == ((), False)

    async def test_two_lines_of_one_moment_are_two(self, store: Stores) -> None:
        for _ in range(2):
            await store.audit.note_audit(entry(1))
        assert len((await store.audit.list_audit(limit=9)).items) == 2

    async def test_any_user_id_is_kept_as_it_is(self, store: Stores) -> None:
        line = entry(1, user_id="".join(each for each in PLANES if each != "\x00"))
        await store.audit.note_audit(line)
        assert (await store.audit.list_audit(limit=9)).items == (line,)

    async def test_what_is_old_is_forgotten_and_nothing_else(self, store: Stores) -> None:
        for number in range(5):
            await store.audit.note_audit(entry(number))
        assert await store.audit.forget_audit(before=entry(3).at) == 3
        left = (await store.audit.list_audit(limit=9)).items
        assert [line.path for line in left] == ["/x/4", "/x/3"]
        assert await store.audit.forget_audit(before=entry(3).at) == 0

    @pytest.mark.parametrize("cursor", ["", "x", "eyJrIjoiLi4ifQ", "é", "=" * 50])
    async def test_a_cursor_of_another_list_is_refused_by_name(self, store: Stores, cursor: str) -> None:
        with pytest.raises(ValidationError) as caught:
            await store.audit.list_audit(limit=3, cursor=cursor)
        assert caught.value.field == "cursor"
