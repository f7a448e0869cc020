"""One spelling for what means the same: letters, blanks, percent-encoding, variants of a medium."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote_to_bytes

from attribution.data.nothing import texts_of

NOTHING = frozenset({"", *texts_of("tags")})
"""What tools write where there is nothing."""

MACRO = (
    r"\{\{.*\}\}|\$?\{[\w.:|-]+\}|(?:^|[^0-9A-Za-z])__[0-9A-Za-z_]+__(?:$|[^0-9A-Za-z])|%%.+%%|\$\$.+\$\$"
    r"|^\[[\w.:-]+\]$|^<[\w.:-]+>$"
)
"""A placeholder that an ad platform or a mail system should have filled."""

_ROUNDS = 3
_SITE_PREFIX = re.compile(r"(?:(?:www|m)\.)+(?=[^.]+\.)")
_MAIL = re.compile(r"(?<![^\W_])e[-_ ]mail\b")
_NETWORK = re.compile(r"social[-_ ]?(network|media)")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


def unquote_text(text: str) -> str:
    """``text`` without percent-encoding, also where it was encoded twice.

    Bytes that are no UTF-8 stay encoded, so that texts which differ stay apart.

    Examples
    --------
    >>> unquote_text("caf%C3%A9"), unquote_text("50%25%20off"), unquote_text("100%"), unquote_text("caf%E9")
    ('café', '50% off', '100%', 'caf%e9')
    """
    for _ in range(_ROUNDS):
        if "%" not in text:
            break
        decoded = unquote_to_bytes(text).decode("utf-8", "surrogateescape")
        decoded = _NOT_UTF8.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02x}", decoded)
        if decoded == text:
            break
        text = decoded
    return text


def fold(text: str) -> str:
    """``text`` in lower case, full-width and composed letters made plain, without surrounding blanks."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.lower())
    return text.lower().strip()


def tag_text(text: str) -> str | None:
    """A utm value in its one spelling; None where it says nothing.

    Examples
    --------
    >>> tag_text(" Spring+Sale%21 "), tag_text("content_marketing"), tag_text("(not set)")
    ('spring sale!', 'content_marketing', None)
    """
    # A plus is a blank only before decoding: %2B is a plus that is meant.
    tag = fold(unquote_text(text.replace("+", " ")))
    return None if tag in NOTHING else tag


def medium_text(tag: str) -> str:
    """A medium in its one spelling.

    Examples
    --------
    >>> medium_text("e_mail"), medium_text("social media"), medium_text("paid-social")
    ('email', 'social-media', 'paid-social')
    """
    return _NETWORK.sub(r"social-\1", mail_text(tag))


def mail_text(tag: str) -> str:
    """``tag`` with every spelling of email made one."""
    return _MAIL.sub("email", tag)


def bare_site(host: str) -> str:
    """``host`` without leading ``www.`` and ``m.``.

    Examples
    --------
    >>> bare_site("www.m.example.com"), bare_site("m.cn"), bare_site("mail.google.com")
    ('example.com', 'm.cn', 'mail.google.com')
    """
    prefix = _SITE_PREFIX.match(host)
    return host[prefix.end() :] if prefix else host
