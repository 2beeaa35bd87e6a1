"""Lets somebody into a session: invites them, and has them accept."""

from chat.conversation import MemberRole, Session
from chat.store.member_store import MemberStore
from tests.support.clients import ChatClient


async def let_in(client: ChatClient, session_id: str, user: str, role: str = "editor") -> None:
    """The client is the owner."""
    path = f"/api/v1/chat/sessions/{session_id}/members/{user}"
    reply = await client.call("PUT", path, json={"role": role})
    assert reply.status == 200, reply
    reply = await client.as_user(user).call("POST", f"/api/v1/chat/invitations/{session_id}/accept")
    assert reply.status == 200, reply


async def let_into(
    store: MemberStore, session_id: str, user: str, role: MemberRole = "editor", *, owner: str = "ann"
) -> Session:
    """The same, at the port of the store: the session as it is then."""
    await store.set_member(owner, session_id, user, role)
    return await store.accept_invitation(user, session_id)
