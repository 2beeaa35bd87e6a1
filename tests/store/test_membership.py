"""The rules of members that every store shares: invitations that nobody answered in time."""

from datetime import timedelta

import pytest

from chat.conversation import INVITED_FOR, Session
from chat.errors import InvitationNotFound
from chat.store.membership import (
    accepted_after,
    invitation_of,
    invited_after,
    is_new_to,
    offer_of,
    offers_from_json,
    offers_to_json,
)
from tests.store.builders import NOW

OFFER = offer_of("editor", "ann", NOW)
SESSION = Session("s", "ann", "Trip", NOW, NOW, invited={"bob": OFFER, "eve": OFFER})
END = OFFER.at + INVITED_FOR


def test_an_invitation_counts_until_its_end() -> None:
    last = END - timedelta(milliseconds=1)
    assert accepted_after(SESSION, "bob", last) == {"members": {"bob": "editor"}, "invited": {"eve": OFFER}}
    assert invitation_of(SESSION, "bob", last) is not None
    assert not is_new_to(SESSION, "bob", last)


def test_one_that_ended_is_as_if_it_had_not_been() -> None:
    with pytest.raises(InvitationNotFound):
        accepted_after(SESSION, "bob", END)
    assert invitation_of(SESSION, "bob", END) is None
    assert is_new_to(SESSION, "bob", END)
    again = offer_of("viewer", "ann", END)
    assert invited_after(SESSION, "bob", again) == {"invited": {"bob": again}}  # eve's has ended, too


def test_an_offer_comes_back_as_it_was_stored() -> None:
    assert offers_from_json(offers_to_json(SESSION.invited)) == SESSION.invited
