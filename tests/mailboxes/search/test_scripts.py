"""Words are found in any script."""

from __future__ import annotations

import pytest

from accounts.models import EmailAccount
from tests.mailboxes.search.messages import add_message, found

SCRIPTS = {
    "Japanese": "明日は東京都庁で会議があります。",
    "Chinese": "请查收附件中的发票，谢谢！",
    "Korean": "내일 회의에서 만나요",
    "Thai": "ขอบคุณสำหรับใบแจ้งหนี้",
    "German": "Die Rechnungsnummer für Straßenschäden in Köln",
    "French": "Ça a été décidé à l’été",
    "Turkish": "GÖRÜŞME günü",
    "Russian": "Встреча ЗАВТРА утром",
    "Greek": "ΣΥΝΆΝΤΗΣΗ αύριο",
    "Arabic": "الفاتورة المرفقة",
    "Hebrew": "חשבונית מצורפת",
    "Hindi": "नमस्ते हिन्दी दुनिया",
    "English": "Please see e-mail re: invoice #2026-11/7 (ada@example.org) snake_case O'Neill",
    "Wide": "Ｉｎｖｏｉｃｅ ﾃｽﾄ",
}


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("東京", "Japanese"),
        ("都庁", "Japanese"),
        ("京都", "Japanese"),
        ("東京都庁で会議", "Japanese"),
        ("会議 東京", "Japanese"),
        ("庁", "Japanese"),
        ('"会議があります"', "Japanese"),
        ("发票", "Chinese"),
        ("附件", "Chinese"),
        ("회의", "Korean"),
        ("ใบแจ้ง", "Thai"),
        ("rechnung*", "German"),
        ("koln", "German"),
        ("KÖLN", "German"),
        ('"straßenschäden in"', "German"),
        ("decide", "French"),
        ("été", "French"),
        ("görüşme", "Turkish"),
        ("встреча завтра", "Russian"),
        ("ВСТРЕЧ*", "Russian"),
        ("συνάντηση", "Greek"),
        ("الفاتورة", "Arabic"),
        ("חשבונית", "Hebrew"),
        ("हिन्दी", "Hindi"),
        ("e-mail", "English"),
        ('"mail re invoice"', "English"),
        ("2026-11/7", "English"),
        ("ada@example.org", "English"),
        ("example", "English"),
        ("snake", "English"),
        ("o'neill", "English"),
        ("テスト", "Wide"),
        ("wide ｉｎｖｏｉｃｅ", "Wide"),
    ],
)
@pytest.mark.django_db
def test_words_are_found_in_any_script(account: EmailAccount, text: str, script: str) -> None:
    for name, content in SCRIPTS.items():
        add_message(account, name, text=content)
    assert found(account, text) == [script]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text", ["rechnung", "東庁", "会議東京", '"invoice mail"', "vertrag*", "票发"]
)
def test_what_is_not_there_is_not_found(account: EmailAccount, text: str) -> None:
    for name, content in SCRIPTS.items():
        add_message(account, name, text=content)
    assert found(account, text) == []
