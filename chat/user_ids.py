"""User ids: the one way to read them from headers, paths and callers, and to write them where only ASCII is safe.

Inside, a user id is text: 1 to 255 characters in Unicode's normal form C, without blanks around it, without control
characters. So `Zoë` is one user however her keyboard puts the dots on the e. In keys of the store it is escaped by
`chat/store/tables/table_keys.py`.
"""

import re
import unicodedata
from contextlib import suppress
from urllib.parse import quote, unquote

from chat.errors import ValidationError

MAX_USER_ID = 255
EXTENDED = re.compile(r"utf-8'[^']*'(.*)", re.IGNORECASE | re.DOTALL)
SLASH = re.compile("%2f", re.IGNORECASE)
PLAIN = "@:+=,;!$*()"  # what stays as it is in a token, so that most ids look as they are
REFUSED = {"Cc": "control characters", "Cs": "halves of a surrogate pair"}


def read_user_id(text: str, field: str = "user_id") -> str:
    """A user id as it is meant. ValidationError names the field."""
    user_id = text.strip()
    if len(user_id) <= MAX_USER_ID:  # composing takes long for texts that are made for it
        user_id = unicodedata.normalize("NFC", user_id)
    if not 1 <= len(user_id) <= MAX_USER_ID:
        raise ValidationError(field, f"A user id has 1 to {MAX_USER_ID} characters")
    for character in user_id:
        if refused := REFUSED.get(unicodedata.category(character)):
            raise ValidationError(field, f"A user id may not hold {refused}")
    if SLASH.search(user_id):  # no path could name that user
        raise ValidationError(field, "A user id may not hold %2F, which is a slash in a path")
    return user_id


def user_of_header(value: str, field: str) -> str:
    """Of a header: UTF-8 as it is, or `UTF-8''Zo%C3%AB` (RFC 8187) from clients that can send no other bytes than
    ASCII. What is not UTF-8 is taken as Latin-1, as browsers send it. ValidationError."""
    if extended := EXTENDED.fullmatch(value.strip()):
        try:
            return read_user_id(unquote(extended[1], errors="strict"), field)
        except UnicodeDecodeError:
            raise ValidationError(field, "What follows UTF-8'' is not UTF-8") from None
    with suppress(UnicodeError):
        value = value.encode("latin-1").decode()  # web servers read the bytes of headers as Latin-1
    return read_user_id(value, field)


def user_of_path(segment: str, field: str = "user_id") -> str:
    """Of a path, as the host gives it: decoded but for `%2F`, so that no slash divides it. ValidationError."""
    return read_user_id(SLASH.sub("/", segment), field)


def to_token(user_id: str) -> str:
    """As a claim of a client's token, and so as `ce-userId`: escaped, since headers hold ASCII alone. The service names
    a user in paths, too, where `.` and `..` would be steps."""
    return quote(user_id, safe=PLAIN) if user_id.strip(".") else user_id.replace(".", "%2E")


def of_token(claim: str) -> str:
    """The reverse of `to_token`."""
    return unquote(claim)
