"""Who may do what, derived from the rules of who owns what.

A user owns its mail accounts, credentials and all mail beneath them: `member` does here, and
has made `reader` and `sender` delegates of the account, to read and to read and send; for
`teammate` there is none of it, and admins see that the account exists, never its mail. The
tenant owns contacts, lists, segments, suppressions, imports, campaigns and templates: viewers
read them, members write them. Admins manage users, keys and event webhooks. `stranger` owns
another tenant.

Each cell is the status that a caller gets. "none" is a 200 that shows nothing of the member's
or its tenant's. `needs` is the right without which a key gets 403, whoever holds it.

Some callers have no column, because they are like another one everywhere: a session and a
service key that names the member are like `member`; the namesake in the other tenant is like
`stranger`; who names nobody or comes without a key gets 401; who names the member with a
stranger's key gets 403.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TABLE = """
needs           method address                               viewer member teammate reader sender admin owner stranger
mail:read       GET    accounts                              none   200    none     200    200    none  none  none
mail:read       GET    accounts?everyone=true                403    403    403      403    403    200   200   none
mail:write      POST   accounts                              403    201    201      201    201    201   201   201
mail:write      POST   accounts#with-a-credential            403    201    400      400    400    400   400   400
mail:read       GET    accounts/{account}                    404    200    404      200    200    200   200   404
mail:write      PUT    accounts/{account}                    403    200    404      403    403    403   403   404
mail:write      PATCH  accounts/{account}                    403    200    404      403    403    403   403   404
mail:write      DELETE accounts/{account}                    403    204    404      403    403    403   403   404
mail:write      POST   accounts/{account}/verify             403    200    404      403    403    403   403   404
mail:write      POST   accounts/verify                       403    200    200      200    200    200   200   200
mail:write      POST   accounts/verify#with-a-credential     403    200    400      400    400    400   400   400
mail:read       GET    accounts/autoconfig?email=a@gmail.com none   none   none     none   none   none  none  none
mail:read       GET    accounts/{account}/delegates          404    200    404      403    403    403   403   404
mail:write      POST   accounts/{account}/delegates          403    201    404      403    403    403   403   404
mail:write      DELETE accounts/{account}/delegates/{reader} 403    204    404      403    403    403   403   404
mail:read       GET    credentials                           none   200    none     none   none   none  none  none
mail:write      POST   credentials                           403    201    201      201    201    201   201   201
mail:write      DELETE credentials/{credential}              403    204    404      404    404    404   404   404
mail:write      POST   oauth2/{provider}/start               403    201    201      201    201    201   201   201
mail:write      POST   oauth2/{provider}/finish              403    400    400      400    400    400   400   400
mail:write      POST   sync/{account}                        403    202    404      202    202    404   404   404
mail:read       GET    sync/{account}/status                 404    200    404      200    200    404   404   404
mail:read       GET    sync/{account}/status?syncId={sync}   404    200    404      200    200    404   404   404
mail:write      POST   sync/{account}/cancel                 403    200    404      200    200    404   404   404
mail:read       GET    folders                               none   200    none     200    200    none  none  none
mail:read       GET    folders?accountId={account}           404    200    404      200    200    404   404   404
mail:read       GET    messages                              none   200    none     200    200    none  none  none
mail:read       GET    messages?accountId={account}          404    200    404      200    200    404   404   404
mail:read       GET    messages?folderId={folder}            404    200    404      200    200    404   404   404
mail:read       GET    messages?threadId={thread}            404    200    404      200    200    404   404   404
mail:read       GET    threads                               none   200    none     200    200    none  none  none
mail:read       GET    threads?accountId={account}           404    200    404      200    200    404   404   404
mail:read       GET    threads/{thread}                      404    200    404      200    200    404   404   404
mail:read       GET    changes?accountId={account}           404    200    404      200    200    404   404   404
mail:read       GET    messages/{message}                    404    200    404      200    200    404   404   404
mail:write      PATCH  messages/{message}                    403    502    404      403    403    404   404   404
mail:write      DELETE messages/{message}                    403    502    404      403    403    404   404   404
mail:write      POST   messages/batch                        403    200    200      200    200    200   200   200
mail:read       GET    messages/{message}/raw                404    200    404      200    200    404   404   404
mail:read       GET    messages/{message}/html               404    200    404      200    200    404   404   404
mail:read       GET    messages/{message}/attachments/0      404    200    404      200    200    404   404   404
mail:write      POST   send-email                            403    502    502      502    502    502   502   502
mail:read       POST   retrieve-emails                       502    502    502      502    502    502   502   502
mail:write      POST   save-to-draft                         403    502    502      502    502    502   502   502
mail:write      POST   move-to-trash                         403    502    502      502    502    502   502   502
mail:write      POST   empty-trash                           403    502    502      502    502    502   502   502
mail:write      POST   compose                               403    202    404      403    202    404   404   404
mail:write      POST   compose#of-a-draft                    403    202    404      403    202    404   404   404
mail:read       GET    compose/reply?messageId={message}     404    200    404      200    200    404   404   404
mail:read       GET    compose/forward?messageId={message}   404    200    404      200    200    404   404   404
mail:read       GET    compose/drafts                        none   200    none     200    200    none  none  none
mail:read       GET    compose/drafts?accountId={account}    404    200    404      200    200    404   404   404
mail:write      POST   compose/drafts                        403    201    404      403    201    404   404   404
mail:read       GET    compose/drafts/{draft}                404    200    404      200    200    404   404   404
mail:write      PUT    compose/drafts/{draft}                403    200    404      403    200    404   404   404
mail:write      PATCH  compose/drafts/{draft}                403    200    404      403    200    404   404   404
mail:write      DELETE compose/drafts/{draft}                403    204    404      403    204    404   404   404
mail:write      POST   compose/drafts/{draft}/send           403    202    404      403    202    404   404   404
mail:write      POST   compose/drafts/{draft}/attachments    403    201    404      403    201    404   404   404
mail:read       GET    compose/drafts/{draft}/attachments/{file} 404 200   404      200    200    404   404   404
mail:write      DELETE compose/drafts/{draft}/attachments/{file} 403 200   404      403    200    404   404   404
mail:read       GET    outbox                                none   200    none     200    200    none  none  none
mail:read       GET    outbox?accountId={account}            404    200    404      200    200    404   404   404
mail:read       GET    outbox/{queued}                       404    200    404      200    200    404   404   404
mail:write      DELETE outbox/{queued}                       403    200    404      403    200    404   404   404
mail:write      POST   outbox/{failed}/retry                 403    202    404      403    202    404   404   404
mail:write      POST   outbox/{failed}/draft                 403    201    404      403    201    404   404   404
mail:write      POST   outbox/{uncertain}/mark-sent          403    200    404      403    200    404   404   404
mail:read       GET    email-log                             none   200    none     200    200    none  none  none
mail:read       GET    dead-letters                          none   200    none     200    200    none  none  none
mail:read       GET    dead-letters/{dead}                   404    200    404      200    200    404   404   404
mail:write      DELETE dead-letters/{dead}                   403    204    404      403    204    404   404   404
mail:write      POST   dead-letters/{dead}/requeue           403    202    404      403    202    404   404   404
contacts:read   GET    contacts                              200    200    200      200    200    200   200   none
contacts:write  POST   contacts                              403    201    201      201    201    201   201   201
contacts:read   GET    contacts/{contact}                    200    200    200      200    200    200   200   404
contacts:write  PATCH  contacts/{contact}                    403    200    200      200    200    200   200   404
contacts:write  DELETE contacts/{contact}                    403    204    204      204    204    204   204   404
contacts:write  DELETE contacts/{contact}?erase=true         403    204    204      204    204    204   204   404
contacts:read   GET    contacts/{contact}/export             200    200    200      200    200    200   200   404
contacts:read   GET    contacts/{contact}/history            200    200    200      200    200    200   200   404
contacts:read   GET    contacts/export                       200    200    200      200    200    200   200   none
contacts:write  POST   contacts/import                       403    202    202      202    202    202   202   202
contacts:read   GET    contacts/imports                      200    200    200      200    200    200   200   none
contacts:read   GET    contacts/imports/{import}             200    200    200      200    200    200   200   404
contacts:write  POST   contacts/imports/{import}/cancel      403    200    200      200    200    200   200   404
contacts:read   GET    contacts/imports/{import}/errors      200    200    200      200    200    200   200   404
contacts:read   GET    contacts/imports/{import}/errors.csv  200    200    200      200    200    200   200   404
contacts:read   GET    suppressions                          200    200    200      200    200    200   200   none
contacts:write  POST   suppressions                          403    201    201      201    201    201   201   201
contacts:write  DELETE suppressions/{suppressed}             403    204    204      204    204    204   204   404
contacts:read   GET    lists                                 200    200    200      200    200    200   200   none
contacts:write  POST   lists                                 403    201    201      201    201    201   201   201
contacts:write  POST   lists#by-the-account                  403    201    400      400    201    400   400   400
contacts:read   GET    lists/{list}                          200    200    200      200    200    200   200   404
contacts:write  PATCH  lists/{list}                          403    200    200      200    200    200   200   404
contacts:write  DELETE lists/{list}                          403    204    204      204    204    204   204   404
contacts:read   GET    lists/{list}/members                  200    200    200      200    200    200   200   404
contacts:write  POST   lists/{list}/members                  403    200    200      200    200    200   200   404
contacts:read   GET    lists/{list}/members/{contact}        200    200    200      200    200    200   200   404
contacts:write  PATCH  lists/{list}/members/{contact}        403    200    200      200    200    200   200   404
contacts:write  DELETE lists/{list}/members/{contact}        403    204    204      204    204    204   204   404
contacts:read   GET    segments                              200    200    200      200    200    200   200   none
contacts:write  POST   segments                              403    201    201      201    201    201   201   201
contacts:read   POST   segments/preview                      200    200    200      200    200    200   200   200
contacts:read   GET    segments/{segment}                    200    200    200      200    200    200   200   404
contacts:write  PATCH  segments/{segment}                    403    200    200      200    200    200   200   404
contacts:write  DELETE segments/{segment}                    403    204    204      204    204    204   204   404
campaigns:write POST   smtp-campaign                         403    202    202      202    202    202   202   202
campaigns:write POST   ses-campaign                          403    409    409      409    409    409   409   409
campaigns:write POST   smtp-campaign#by-the-account          403    202    400      400    202    400   400   400
campaigns:read  GET    campaign-status/{campaign}            200    200    200      200    200    200   200   404
campaigns:read  GET    campaigns                             200    200    200      200    200    200   200   none
campaigns:read  GET    campaigns/{campaign}                  200    200    200      200    200    200   200   404
campaigns:write POST   campaigns                             403    201    201      201    201    201   201   201
campaigns:read  POST   campaigns/audience                    200    200    200      200    200    200   200   200
campaigns:write PATCH  campaigns/{drafted}                   403    200    200      200    200    200   200   404
campaigns:write DELETE campaigns/{drafted}                   403    204    204      204    204    204   204   404
campaigns:write POST   campaigns/{drafted}/start             403    200    200      200    200    200   200   404
campaigns:write POST   campaigns/{scheduled}/unschedule      403    200    200      200    200    200   200   404
campaigns:write POST   campaigns/{campaign}/duplicate        403    201    201      201    201    201   201   404
campaigns:read  POST   campaigns/{drafted}/preview           200    200    200      200    200    200   200   404
campaigns:write POST   campaigns/{drafted}/test              403    502    502      502    502    502   502   404
campaigns:write POST   campaigns/{campaign}/pause            403    200    200      200    200    200   200   404
campaigns:write POST   campaigns/{paused}/resume             403    200    200      200    200    200   200   404
campaigns:write POST   campaigns/{campaign}/cancel           403    200    200      200    200    200   200   404
campaigns:write POST   campaigns/{campaign}/resolve-uncertain 403   200    200      200    200    200   200   404
campaigns:write POST   campaigns/{campaign}/retry-failed     403    200    200      200    200    200   200   404
campaigns:read  GET    campaigns/{campaign}/deliveries       200    200    200      200    200    200   200   404
campaigns:read  GET    templates                             200    200    200      200    200    200   200   none
campaigns:write POST   templates                             403    201    201      201    201    201   201   201
campaigns:read  POST   templates/preview                     200    200    200      200    200    200   200   200
campaigns:read  GET    templates/{template}                  200    200    200      200    200    200   200   404
campaigns:write PATCH  templates/{template}                  403    200    200      200    200    200   200   404
campaigns:write DELETE templates/{template}                  403    204    204      204    204    204   204   404
campaigns:read  POST   templates/{template}/preview          200    200    200      200    200    200   200   404
campaigns:write POST   templates/{template}/test             403    409    409      409    409    409   409   404
admin:read      GET    users                                 403    403    403      403    403    200   200   none
admin:write     POST   users                                 403    403    403      403    403    201   201   201
admin:read      GET    users/{user}                          403    403    403      403    403    200   200   404
admin:write     PATCH  users/{user}                          403    403    403      403    403    200   200   404
admin:write     DELETE users/{user}                          403    403    403      403    403    204   204   404
admin:read      GET    keys                                  403    403    403      403    403    200   200   none
admin:write     POST   keys                                  403    403    403      403    403    201   201   201
admin:write     DELETE keys/{key}                            403    403    403      403    403    204   204   404
admin:read      GET    event-webhooks                        403    403    403      403    403    200   200   none
admin:write     POST   event-webhooks                        403    403    403      403    403    201   201   201
admin:read      GET    event-webhooks/{webhook}              403    403    403      403    403    200   200   404
admin:write     PATCH  event-webhooks/{webhook}              403    403    403      403    403    200   200   404
admin:write     DELETE event-webhooks/{webhook}              403    403    403      403    403    204   204   404
admin:write     POST   event-webhooks/{webhook}/rotate-secret 403   403    403      403    403    200   200   404
admin:write     POST   event-webhooks/{webhook}/test         403    403    403      403    403    202   202   404
admin:read      GET    event-webhooks/{webhook}/deliveries   403    403    403      403    403    200   200   404
campaigns:read  GET    sender-check?from=a@mailhub.invalid   none   none   none     none   none   none  none  none
campaigns:read  GET    statistics                            none   none   none     none   none   none  none  none
admin:read      GET    dkim-keys                             403    403    403      403    403    200   200   none
admin:write     POST   dkim-keys                             403    403    403      403    403    201   201   201
admin:read      GET    dkim-keys/{dkim}                      403    403    403      403    403    200   200   404
admin:write     DELETE dkim-keys/{dkim}                      403    403    403      403    403    204   204   404
admin:read      GET    ses-topics                            403    403    403      403    403    200   200   none
admin:write     POST   ses-topics                            403    403    403      403    403    201   201   201
admin:read      GET    ses-topics/{topic}                    403    403    403      403    403    200   200   404
admin:write     DELETE ses-topics/{topic}                    403    403    403      403    403    204   204   404
"""  # noqa: E501 - a table

# For anyone, or guarded in another way than by a caller.
PUBLIC = {"GET schema", "GET docs", "POST webhooks/ses"}

_LOOPBACK = {"hostname": "127.0.0.1", "port": 1, "encryption": "none"}
_ACCOUNT = {"accountName": "New", "emailAddress": "new@example.org", **_LOOPBACK}
_CAMPAIGN = {
    "subject": "Hello",
    "body": "<p>Hello</p>",
    "from_email": "shop@example.org",
    "emails": ["someone@example.net"],
}

_RULE = {"field": "email", "op": "ends_with", "value": "@example.com"}

_SERVER = {
    "host": "127.0.0.1",
    "port": 1,
    "allowPlaintext": True,
    "auth": {"user": "mary", "pass": "secret word"},
}
_MAIL = {"from": "mary@example.org", "to": "someone@example.net", "subject": "Hi", "text": "Hi"}

# What is sent where the address and method alone say too little.
BODIES: dict[str, dict[str, Any]] = {
    "POST accounts": {**_ACCOUNT, "password": "secret word"},
    "POST accounts#with-a-credential": {**_ACCOUNT, "credentialId": "{credential}"},
    "PUT accounts/{account}": {**_ACCOUNT, "password": "secret word"},
    "PATCH accounts/{account}": {"syncInterval": 600},
    "POST accounts/verify": {**_ACCOUNT, "password": "secret word"},
    "POST accounts/verify#with-a-credential": {**_ACCOUNT, "credentialId": "{credential}"},
    "POST accounts/{account}/delegates": {"userId": "tom", "access": "read"},
    "POST credentials": {"name": "New", "password": "secret word"},
    "POST oauth2/{provider}/start": {"returnUrl": "https://app.example/connected"},
    "POST oauth2/{provider}/finish": {"code": "of-nobody"},
    "POST sync/{account}": {"forceFullSync": True},
    "POST send-email": {"smtpCredentials": _SERVER, "mailOptions": _MAIL},
    "POST retrieve-emails": {"smtpCredentials": _SERVER},
    "POST save-to-draft": {"smtpCredentials": _SERVER, "mailOptions": _MAIL},
    "POST move-to-trash": {"smtpCredentials": _SERVER, "uid": 1},
    "POST empty-trash": {"smtpCredentials": _SERVER, "all": True},
    "POST compose": {
        "accountId": "{account}",
        "to": ["someone@example.net"],
        "subject": "Hi",
        "textBody": "Hi",
    },
    "POST compose#of-a-draft": {"draftId": "{draft}"},
    "POST compose/drafts": {"accountId": "{account}", "to": ["someone"], "subject": "Hi"},
    "PUT compose/drafts/{draft}": {"subject": "Hi"},
    "PATCH compose/drafts/{draft}": {"textBody": "Hi"},
    "POST compose/drafts/{draft}/attachments": {"file": "Hi"},
    "PATCH messages/{message}": {"isRead": True},
    "POST messages/batch": {"ids": ["987654321"], "isRead": True},
    "POST contacts": {"email": "new@example.org"},
    "PATCH contacts/{contact}": {"company": "New"},
    "POST contacts/import": {"file": "email\nnew@example.org\n"},
    "POST suppressions": {"email": "new@example.org"},
    "POST lists": {"name": "New"},
    "POST lists#by-the-account": {"name": "New", "opt_in": "double", "account_id": "{account}"},
    "PATCH lists/{list}": {"description": "New"},
    "POST lists/{list}/members": {"emails": ["new@example.org"]},
    "PATCH lists/{list}/members/{contact}": {"state": "unsubscribed"},
    "POST segments": {"name": "New", "rule": _RULE},
    "POST segments/preview": {"rule": _RULE},
    "PATCH segments/{segment}": {"description": "New"},
    "POST smtp-campaign": {
        **_CAMPAIGN,
        "smtp_server": "127.0.0.1",
        "smtp_port": 1,
        "smtp_encryption": "none",
    },
    "POST campaigns": {"subject": "Hi", "body": "<p>Hi</p>"},
    "POST campaigns/audience": {"everyone": True},
    "PATCH campaigns/{drafted}": {"subject": "Hi"},
    "POST campaigns/{drafted}/test": {"to": ["bo@example.org"]},
    "POST templates": {"name": "Welcome", "html": "<p>Hello</p>"},
    "POST templates/preview": {"html": "<p>Hello {{ first_name }}</p>"},
    "PATCH templates/{template}": {"name": "Farewell"},
    "POST templates/{template}/test": {"to": ["bo@example.org"], "from_email": "us@example.org"},
    "POST campaigns/{campaign}/resolve-uncertain": {"action": "resend"},
    "POST ses-campaign": _CAMPAIGN,
    "POST dkim-keys": {"domain": "new.example.org"},
    "POST ses-topics": {"arn": "arn:aws:sns:eu-west-1:123456789012:new"},
    "POST smtp-campaign#by-the-account": {**_CAMPAIGN, "account_id": "{account}"},
    "POST users": {"name": "nora"},
    "PATCH users/{user}": {"role": "viewer"},
    "POST keys": {"name": "New"},
    "POST event-webhooks": {"url": "https://127.0.0.1:1/", "events": ["*"]},
    "PATCH event-webhooks/{webhook}": {"is_enabled": False},
}


@dataclass(frozen=True)
class Row:
    """One row of the table; `expected` is by the column's name."""

    needs: str
    method: str
    address: str
    expected: dict[str, str]

    @property
    def name(self) -> str:
        """Method and address, with what tells two rows of one endpoint apart."""
        return f"{self.method} {self.address}"

    @property
    def endpoint(self) -> str:
        """Method and address alone."""
        return self.name.partition("?")[0].partition("#")[0]

    @property
    def path(self) -> str:
        """The address as it is called, its placeholders not yet filled."""
        return self.address.partition("#")[0]

    @property
    def body(self) -> dict[str, Any] | None:
        return BODIES.get(self.name)


def _read(table: str) -> list[Row]:
    heading, *lines = table.strip().splitlines()
    columns = heading.split()[3:]
    rows = []
    for line in lines:
        needs, method, address, *cells = line.split()
        rows.append(Row(needs, method, address, dict(zip(columns, cells, strict=True))))
    return rows


ROWS = _read(TABLE)
