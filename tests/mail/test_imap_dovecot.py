"""What only a real server shows: encryption, deliveries, other mail programs at work."""

from __future__ import annotations

import imaplib
from pathlib import Path

import pytest

from mailhub.mail.errors import EncryptionRefused
from mailhub.mail.server import Encryption
from mailhub.mail.stores.imap import ImapStore
from tests.servers.certificates import make_certificate
from tests.servers.dovecot import DovecotServer, DovecotUser


def _message(subject: str) -> bytes:
    return f"From: bo@example.org\r\nSubject: {subject}\r\n\r\nHello\r\n".encode()


@pytest.mark.parametrize("encryption", list(Encryption))
def test_reads_over_every_kind_of_connection(
    dovecot_user: DovecotUser, encryption: Encryption
) -> None:
    dovecot_user.deliver(_message("hello"))
    with ImapStore(dovecot_user.settings(encryption)) as store:
        store.select("INBOX")
        (message,) = store.fetch(store.uids())
    assert b"Subject: hello" in message.content


@pytest.mark.parametrize("encryption", [Encryption.TLS, Encryption.STARTTLS])
def test_a_certificate_that_nobody_vouches_for_is_refused(
    dovecot_user: DovecotUser, encryption: Encryption, tmp_path: Path
) -> None:
    stranger, _ = make_certificate(tmp_path, "localhost")
    for ca_file in (None, str(stranger)):
        with pytest.raises(EncryptionRefused):
            ImapStore(dovecot_user.settings(encryption, ca_file=ca_file)).open()


@pytest.mark.parametrize("encryption", [Encryption.TLS, Encryption.STARTTLS])
def test_a_certificate_for_another_name_is_refused(
    dovecot_user: DovecotUser, encryption: Encryption
) -> None:
    with pytest.raises(EncryptionRefused):
        ImapStore(dovecot_user.settings(encryption, host="127.0.0.1")).open()


@pytest.mark.parametrize(
    "password", ["pässwörd", 'q"uo\\te', "with space", "日本語", "a" * 200, "{5}"]
)
def test_logs_in_with_any_password(dovecot: DovecotServer, password: str) -> None:
    user = dovecot.add_user(f"password{hash(password)}@example.org", password)
    for encryption in (Encryption.TLS, Encryption.NONE):
        with ImapStore(user.settings(encryption)) as store:
            assert store.status("INBOX").messages == 0


def test_capabilities_are_those_of_after_the_login(dovecot_user: DovecotUser) -> None:
    with ImapStore(dovecot_user.settings()) as store:
        assert {"MOVE", "UIDPLUS", "SPECIAL-USE", "CONDSTORE"} <= store.capabilities


def test_mail_delivered_meanwhile_is_seen(dovecot_user: DovecotUser) -> None:
    with ImapStore(dovecot_user.settings()) as store:
        before = store.select("INBOX")
        dovecot_user.deliver(_message("one"))
        dovecot_user.deliver(_message("two"))
        after = store.status("INBOX")
        assert after.messages == before.messages + 2
        assert after.highest_modseq > before.highest_modseq
        assert store.select("INBOX").messages == after.messages
        assert len(store.uids()) == 2


def test_messages_that_another_program_deletes_meanwhile_are_left_out(
    dovecot_user: DovecotUser,
) -> None:
    for number in range(6):
        dovecot_user.deliver(_message(str(number)))
    with ImapStore(dovecot_user.settings()) as reader, ImapStore(dovecot_user.settings()) as other:
        reader.select("INBOX")
        uids = reader.uids()
        other.select("INBOX", read_only=False)
        other.expunge(uids[1:3])
        other.store_flags([uids[4]], add=["\\Seen"])
        found = {message.uid: message.flags for message in reader.fetch(uids)}
    # Dovecot still hands over what this session has not been told of as gone.
    assert set(uids) - set(uids[1:3]) <= set(found)
    assert "\\Seen" in found[uids[4]]


def test_folders_made_by_others_are_listed_by_their_names(dovecot_user: DovecotUser) -> None:
    dovecot_user.deliver(_message("filed"), "Ablage 2026 – Verträge & mehr")
    with ImapStore(dovecot_user.settings()) as store:
        assert "Ablage 2026 – Verträge & mehr" in {folder.path for folder in store.folders()}
        assert store.status("Ablage 2026 – Verträge & mehr").messages == 1


def test_searches_for_letters_beyond_ascii(dovecot_user: DovecotUser) -> None:
    dovecot_user.deliver(_message("=?utf-8?q?Gr=C3=B6=C3=9Fe?="))
    dovecot_user.deliver(_message("other"))
    with ImapStore(dovecot_user.settings()) as store:
        store.select("INBOX")
        assert store.uids('SUBJECT "größe"') == [1]
        assert store.uids('SUBJECT "grösser"') == []


def test_a_folder_that_was_made_anew_has_another_uidvalidity(dovecot_user: DovecotUser) -> None:
    with ImapStore(dovecot_user.settings()) as store:
        store.create_folder("Anew")
        before = store.status("Anew")
        host, port = "127.0.0.1", dovecot_user.server.port
        with imaplib.IMAP4(host, port, timeout=30) as other:
            # Plain, so that an ASCII login is enough.
            other.authenticate(
                "PLAIN", lambda _: f"\0{dovecot_user.name}\0{dovecot_user.password}".encode()
            )
            other.rename("Anew", "Old")
        store.create_folder("Anew")
        assert store.status("Anew").uid_validity != before.uid_validity


def test_a_poor_server_announces_little(plain_dovecot_user: DovecotUser) -> None:
    with ImapStore(plain_dovecot_user.settings()) as store:
        assert not store.capabilities & {"MOVE", "CONDSTORE", "QRESYNC", "SPECIAL-USE"}
        assert store.status("INBOX").highest_modseq == 0
