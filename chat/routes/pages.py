"""Pages of lists that the store gives by cursors: `?page=&page_size=&cursor=`."""

from collections.abc import Awaitable, Callable

from chat.events import JSONObject
from chat.messages import Page
from chat.routes.schemas import PageQuery

type ReadPage[T] = Callable[[str | None], Awaitable[Page[T]]]
type Count = Callable[[], Awaitable[int | None]]


async def read_page[T](query: PageQuery, read: ReadPage[T]) -> Page[T]:
    """The page of that number, behind the cursor."""
    page = await read(query.cursor)
    for _ in range(1, query.page):
        page = Page[T](()) if page.next_cursor is None else await read(page.next_cursor)
    return page


async def show_page[T](query: PageQuery, page: Page[T], count: Count) -> JSONObject:
    """What stands beside the entries. What one page shows whole needs no counting."""
    is_all = query.page == 1 and query.cursor is None and not page.has_more
    return {
        "page": query.page,
        "page_size": query.page_size,
        "has_more": page.has_more,
        "next_cursor": page.next_cursor,
        "total_count": len(page.items) if is_all else await count(),
    }
