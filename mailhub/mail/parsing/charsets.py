"""Octets in a charset that is told, wrong, unknown or missing → clean text.

Labels are read as browsers and mail programs read them (the WHATWG Encoding Standard's
aliases): `iso-8859-1` means windows-1252, `gb2312` means GB 18030. Text without a usable
label is UTF-8 where it can be, else ISO-2022-JP where its escapes show, else a given
guess, else windows-1252, which cannot fail.
"""

from __future__ import annotations

import re
from functools import lru_cache

_ALIASES = {
    "us-ascii": "",
    "ascii": "",
    "ansi_x3.4-1968": "",
    "unknown-8bit": "",
    "unknown": "",
    "x-unknown": "",
    "default": "",
    "default_charset": "",
    "8bit": "",
    "binary": "",
    "utf8mb4": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
    "iso-8859-1": "windows-1252",
    "iso8859-1": "windows-1252",
    "iso_8859-1": "windows-1252",
    "iso-8859-1-windows-3.1-latin-1": "windows-1252",
    "latin1": "windows-1252",
    "latin-1": "windows-1252",
    "ansi": "windows-1252",
    "iso-8859-9": "windows-1254",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-6-i": "iso-8859-6",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "big5": "big5hkscs",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
}
# Codecs of Python that are no charsets: slow on long input, or they read escapes.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:()+-]{0,39}")
_SURROGATES = re.compile("[\ud800-\udfff]")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ISO_2022_ESCAPE = re.compile(rb"\x1b(?:\$[@B]|\([BIJ]|\$\(D)")


def decode_text(data: bytes, charset: str | None = None, guess: str | None = None) -> str:
    """Text without NUL or lone surrogates; octets that fit nothing become U+FFFD.

    `charset` is the label that the message gives, `guess` one to try where it gives none.
    """
    codec = codec_for(charset)
    if codec is not None and codec != "utf-8":
        return clean_text(_decode(data, codec))
    return clean_text(_decode_unlabelled(data, guess, prefers_utf8=codec is not None))


def codec_for(charset: str | None) -> str | None:
    """The name of Python's codec for a label; None for one that says nothing."""
    if not charset:
        return None
    label = charset.strip("\"' \t\r\n").partition("*")[0].lower()
    return _codec_of(label) if _LABEL.fullmatch(label) else None


def clean_text(text: str) -> str:
    """The same text without NUL, with U+FFFD for each lone surrogate."""
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = _SURROGATE_PAIR.sub(
            lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text
        )
        text = _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
    return text


# Labels are at most forty characters long, so that strangers cannot fill the cache.
@lru_cache(maxsize=256)
def _codec_of(label: str) -> str | None:
    codec = _ALIASES.get(label, label)
    if not codec or codec.replace("-", "_") in _NO_CHARSETS:
        return None
    return "utf-8" if codec in {"utf8", "utf_8"} else codec if _exists(codec) else None


def _exists(codec: str) -> bool:
    try:
        b"".decode(codec)
        # An empty string is decoded without a look at the codec.
        b"a".decode(codec, "replace")
    except (LookupError, ValueError):
        return False
    return True


def _decode_unlabelled(data: bytes, guess: str | None, *, prefers_utf8: bool) -> str:
    try:
        if b"\x1b" in data and _ISO_2022_ESCAPE.search(data):
            return data.decode("iso2022_jp_ext")
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    codec = codec_for(guess)
    if codec is not None and codec != "utf-8":
        try:
            return data.decode(codec)
        except ValueError:
            pass
    if prefers_utf8:
        return data.decode("utf-8", "replace")
    return data.decode("windows-1252", "replace")


def _decode(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec, "replace")
    except (LookupError, ValueError):
        # Some codecs (utf-16 without a mark at odd lengths, stateful ones) raise all the same.
        return data.decode("windows-1252", "replace")
