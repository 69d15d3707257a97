"""Folder names between people and IMAP: modified UTF-7, quoting, and what a folder is for.

Names travel as modified UTF-7 (RFC 3501 section 5.1.3). Some servers send raw UTF-8 or
Latin-1 instead; such a name is decoded as well as it can be, and the caller keeps the
octets beside it, because encoding it again would not give them back.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from imap_tools import imap_utf7

from mailhub.mail.errors import InvalidMessage
from mailhub.mail.parsing.charsets import clean_text
from mailhub.mail.stores.base import RemoteFolder, Role

# No known name is longer, and normalising takes quadratic time for long runs of accents.
_LONGEST_NAME = 60
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")

# Special-use attributes (RFC 6154), and the older ones of XLIST.
_ROLE_FLAGS = {
    "\\inbox": Role.INBOX,
    "\\sent": Role.SENT,
    "\\drafts": Role.DRAFTS,
    "\\trash": Role.TRASH,
    "\\junk": Role.JUNK,
    "\\spam": Role.JUNK,
    "\\archive": Role.ARCHIVE,
    "\\all": Role.ALL,
    "\\allmail": Role.ALL,
}

# Names that mail programs and providers give, most telling first.
_ROLE_NAMES = {
    Role.SENT: """
        Sent|Sent Items|Sent Mail|Sent Messages|Gesendet|Gesendete Objekte|Gesendete Elemente|
        Gesendete Nachrichten|Postausgang gesendet|Éléments envoyés|Envoyés|Messages envoyés|
        Courrier envoyé|Objets envoyés|Enviados|Elementos enviados|Mensajes enviados|
        Correo enviado|Posta inviata|Inviata|Inviati|Elementi inviati|Messaggi inviati|
        Verzonden|Verzonden items|Verzonden berichten|Verzonden objecten|Itens enviados|
        Mensagens enviadas|E-mails enviados|E-mail enviado|Skickat|Skickade|
        Skickade objekt|Skickade meddelanden|Sendt|Sendte elementer|Sendt post|Sendte|
        Lähetetyt|Lähetetyt viestit|Wysłane|Elementy wysłane|Odeslané|Odeslaná pošta|
        Odoslané|Elküldött|Elküldött elemek|Trimise|Mesaje trimise|Gönderilmiş|
        Gönderilmiş Postalar|Gönderilmiş Öğeler|Απεσταλμένα|Отправленные|Исходящие|
        Надіслані|Изпратени|送信済み|送信済みメール|送信済みアイテム|送信済みメッセージ|
        已发送|已发送邮件|已傳送|寄件備份|寄件匣|보낸편지함|보낸 편지함|보낸 메일함|
        נשלחו|البريد المرسل|المرسلة|ส่งแล้ว|Đã gửi|Terkirim
    """,
    Role.DRAFTS: """
        Drafts|Draft|Entwürfe|Entwurf|Brouillons|Brouillon|Borradores|Borrador|Bozze|Bozza|
        Concepten|Concept|Rascunhos|Rascunho|Utkast|Kladder|Kladd|Luonnokset|Kopie robocze|
        Szkice|Wersje robocze|Koncepty|Rozepsané|Rozpísané|Piszkozatok|Ciorne|Taslaklar|
        Πρόχειρα|Черновики|Чернетки|Чернови|下書き|草稿|草稿箱|草稿匣|임시보관함|임시 보관함|
        טיוטות|المسودات|ร่างจดหมาย|Thư nháp|Draf
    """,
    Role.TRASH: """
        Trash|Deleted Items|Deleted Messages|Deleted|Bin|Papierkorb|Gelöschte Objekte|
        Gelöschte Elemente|Gelöschte Nachrichten|Gelöscht|Corbeille|Éléments supprimés|
        Messages supprimés|Supprimés|Papelera|Papelera de reciclaje|Elementos eliminados|
        Eliminados|Cestino|Posta eliminata|Elementi eliminati|Eliminata|Prullenbak|Prullenmand|
        Verwijderde items|Verwijderde berichten|Verwijderd|Lixeira|Lixo|Itens excluídos|
        Itens Eliminados|Mensagens excluídas|Papperskorg|Papperskorgen|Borttaget|Raderat|
        Slettet post|Slettede elementer|Slettet|Papirkurv|Papirkurven|Søppel|Roskakori|
        Poistetut|Kosz|Elementy usunięte|Usunięte|Koš|Odstraněná pošta|Kôš|Odstránené|
        Lomtár|Kuka|Törölt elemek|Coș de gunoi|Gunoi|Çöp Kutusu|Çöp|Silinmiş Öğeler|
        Κάδος απορριμμάτων|Διαγραμμένα|Корзина|Удаленные|Удалённые|Кошик|Видалені|Кошче|
        ゴミ箱|ごみ箱|削除済みアイテム|削除済みメッセージ|废纸篓|已删除|已删除邮件|垃圾桶|
        刪除的郵件|휴지통|지운 편지함|אשפה|المهملات|ถังขยะ|Thùng rác|Sampah
    """,
    Role.JUNK: """
        Junk|Spam|Junk E-mail|Junk Email|Junk Mail|Bulk Mail|Bulk|Spamverdacht|
        Unerwünscht|Unerwünschte Werbung|Junk-E-Mail|Werbung|Courrier indésirable|
        Indésirables|Pourriel|Courriers indésirables|Correo no deseado|No deseado|
        Posta indesiderata|Indesiderata|Ongewenste e-mail|Ongewenst|Reclame|
        Lixo Eletrônico|Lixo Electrónico|Lixo eletrónico|E-mail não solicitado|Skräppost|
        Skräp|Uønsket e-post|Søppelpost|Uønsket post|Uønsket mail|Roskaposti|
        Wiadomości-śmieci|Niechciane|Nevyžádaná pošta|Nevyžiadaná pošta|Levélszemét|
        Önemsiz|Önemsiz E-posta|Gereksiz|Ανεπιθύμητα|Ανεπιθύμητη αλληλογραφία|Спам|
        Нежелательная почта|Нежелательные|Небажана пошта|迷惑メール|スパム|垃圾邮件|垃圾郵件|
        스팸|스팸편지함|정크 메일|דואר זבל|ספאם|البريد المزعج|สแปม|Thư rác
    """,
    Role.ARCHIVE: """
        Archive|Archives|Archived|Archiv|Archivé|Archivos|Archivo|Archiviati|Archivio|Archief|
        Arquivo|Arquivados|Arkiv|Arkisto|Archiwum|Archív|Archívum|Arhivă|Arşiv|Αρχείο|Архив|
        Архів|アーカイブ|归档|存档|封存|보관함|ארכיון|أرشيف
    """,
    Role.ALL: """
        All Mail|Alle Nachrichten|Tous les messages|Todos|Todos los mensajes|Tutti i messaggi|
        Alle e-mails|Todos os e-mails|Alla mail|Wszystkie|Вся почта|すべてのメール|所有邮件|所有郵件
    """,
}


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", name[:_LONGEST_NAME]).casefold().strip()


_ROLE_BY_NAME = {
    _key(name): (rank, role)
    for role, names in _ROLE_NAMES.items()
    for rank, name in enumerate(names.split("|"))
}


def encode_name(path: str) -> bytes:
    """A folder's path as modified UTF-7. Raises InvalidMessage on CR, LF, NUL and the like."""
    refuse_controls(path, "A folder name")
    return imap_utf7.utf7_encode("INBOX" if path.upper() == "INBOX" else path)


def decode_name(octets: bytes) -> str:
    """The path for a person: modified UTF-7, else raw UTF-8, else Latin-1; never raises."""
    path = _decode_utf7(octets)
    if path is None:
        try:
            path = octets.decode("utf-8")
        except UnicodeDecodeError:
            path = octets.decode("latin-1")
    path = clean_text(_CONTROLS.sub("\N{REPLACEMENT CHARACTER}", path))
    return "INBOX" if path.upper() == "INBOX" else path


def quote(octets: bytes) -> bytes:
    """An IMAP quoted string (RFC 9051 section 9); the octets hold no CR, LF or NUL."""
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def refuse_controls(text: str, what: str) -> None:
    """Raise InvalidMessage where text could end the command it is put in."""
    if _CONTROLS.search(text):
        raise InvalidMessage(f"{what} must not contain control characters.")


def role_by_flag(flags: Iterable[str]) -> Role | None:
    """What a folder is for, by the attributes that LIST gave."""
    found = (_ROLE_FLAGS.get(flag.lower()) for flag in flags)
    return next((role for role in found if role is not None), None)


def with_roles(folders: list[RemoteFolder]) -> list[RemoteFolder]:
    """The same folders, each role given once: by the server's flag, else by a known name.

    Names count at the top and just beneath INBOX or a provider's own root ([Gmail]).
    """
    chosen: dict[Role, str] = {}
    for folder in folders:
        role = Role.INBOX if folder.path == "INBOX" else role_by_flag(folder.flags)
        if role is not None and folder.selectable:
            chosen.setdefault(role, folder.path)
    flagged = set(chosen.values())
    by_name = sorted(
        (rank, _depth(folder), folder.path, role)
        for folder in folders
        if folder.selectable and folder.path not in flagged
        for rank, role in [_named_role(folder)]
        if role is not None
    )
    for _, _, path, role in by_name:
        chosen.setdefault(role, path)
    roles = {path: role for role, path in chosen.items()}
    return [
        RemoteFolder(
            folder.path, folder.delimiter, roles.get(folder.path), folder.selectable, folder.flags
        )
        for folder in folders
    ]


def _named_role(folder: RemoteFolder) -> tuple[int, Role | None]:
    above, name = _split(folder)
    if len(above) > 1 or (above and above[0].upper() not in {"INBOX", "[GMAIL]", "[GOOGLE MAIL]"}):
        return 0, None
    return _ROLE_BY_NAME.get(_key(name), (0, None))


def _depth(folder: RemoteFolder) -> int:
    return len(_split(folder)[0])


def _split(folder: RemoteFolder) -> tuple[list[str], str]:
    parts = folder.path.split(folder.delimiter) if folder.delimiter else [folder.path]
    return parts[:-1], parts[-1]


def _decode_utf7(octets: bytes) -> str | None:
    try:
        if octets.isascii():
            path = imap_utf7.utf7_decode(octets)
            path.encode()
            return path
    except ValueError:
        pass
    return None
