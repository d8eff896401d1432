"""IMAP and POP3: what the server offers, TLS, logins that are refused, and folders and letters where one is given."""

from __future__ import annotations

import contextlib
import imaplib
import poplib
from collections.abc import Callable, Iterator
from typing import Any

from debloat.record.protocols.base import LOOPBACK, NAME, Account, Protocol, Refused, Target, Transcript, unverified

_LETTER = b"From: probe@localhost\r\nSubject: hello\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nh\xc3\xa4llo\r\n"
_SEARCHES = (("ALL",), ("SUBJECT", "hello"), ("BODY", "llo"), ("UNSEEN",), ("SINCE", "1-Jan-2020"))
_FETCHES = ("(FLAGS RFC822.SIZE)", "(ENVELOPE BODYSTRUCTURE)", "(BODY.PEEK[HEADER])", "(BODY[TEXT])", "(RFC822)")


def _imap(target: Target, said: Transcript) -> None:
    with _imap_client(target, said) as client:
        if client is None:
            return
        said.ask("capabilities", lambda: sorted(client.capabilities))
        said.ask("a wrong password", _answered(lambda: client.login(f"{NAME}_nobody", "wrong")))
        said.ask("an unknown mechanism", _answered(lambda: client.authenticate("NOSUCH", lambda _: b"")))
        said.ask("before the login", _answered(lambda: client.xatom("SELECT", "INBOX")))
        said.ask("NOOP", _answered(client.noop))
        if target.accounts and "STARTTLS" not in client.capabilities:
            _folders(client, target.accounts[0], said)
        offers_tls = "STARTTLS" in client.capabilities and not target.tls
        said.ask("LOGOUT", _answered(client.logout))
    if not target.accounts:
        said.advice = "nobody logged in: give --probe imap://USER:PASSWORD@:PORT"
    if offers_tls:
        with _imap_client(target, said) as client:
            if client is None:
                return
            said.ask("STARTTLS", _answered(lambda: client.starttls(unverified())))
            said.ask("capabilities within TLS", lambda: sorted(client.capabilities))
            said.ask("a wrong password within TLS", _answered(lambda: client.login(f"{NAME}_nobody", "wrong")))
            if target.accounts:
                _folders(client, target.accounts[0], said)
            said.ask("LOGOUT", _answered(client.logout))


@contextlib.contextmanager
def _imap_client(target: Target, said: Transcript) -> Iterator[Any]:
    opened: list[imaplib.IMAP4] = []

    def greeting() -> object:
        if target.tls:
            opened.append(imaplib.IMAP4_SSL(LOOPBACK, target.port, ssl_context=unverified(), timeout=target.timeout))
        else:
            opened.append(imaplib.IMAP4(LOOPBACK, target.port, timeout=target.timeout))
        return "greeted"

    said.ask("greeting", _answered(greeting))
    try:
        yield opened[0] if opened else None
    finally:
        for client in opened:
            with contextlib.suppress(Exception):
                client.shutdown()


def _answered(call: Callable[[], object]) -> Callable[[], object]:
    """A call whose refusals are those of the server; a connection that is lost ends the conversation."""

    def answered() -> object:
        try:
            return call()
        except (imaplib.IMAP4.abort, EOFError) as error:
            raise ConnectionError(str(error)) from error
        except (imaplib.IMAP4.error, poplib.error_proto) as error:
            raise Refused(*error.args) from error

    return answered


def _folders(client: imaplib.IMAP4, account: Account, said: Transcript) -> None:
    """A folder of the conversation's own with a letter in it, which are removed again."""
    if said.ask(f"log in as {account.user}", _answered(lambda: client.login(account.user, account.password))) is None:
        said.advice = "the login was refused: give --probe imap://USER:PASSWORD@:PORT"
        return

    def ask(what: str, call: Callable[[], object]) -> None:
        said.ask(what, _answered(call))

    ask("LIST", lambda: bool(client.list()))
    ask("NAMESPACE", client.namespace)
    ask("CREATE", lambda: client.create(NAME))
    ask("SUBSCRIBE", lambda: client.subscribe(NAME))
    ask("APPEND", lambda: client.append(NAME, "", "", _LETTER)[0])
    ask("STATUS", lambda: client.status(NAME, "(MESSAGES UNSEEN)"))
    ask("SELECT", lambda: client.select(NAME))
    for search in _SEARCHES:
        ask(f"SEARCH {' '.join(search)}", lambda search=search: client.search(None, *search))  # type: ignore[misc]
    for parts in _FETCHES:
        ask(f"FETCH {parts}", lambda parts=parts: client.fetch("1", parts))  # type: ignore[misc]
    ask("SORT", lambda: client.sort("REVERSE DATE", "UTF-8", "ALL"))
    ask("THREAD", lambda: client.thread("REFERENCES", "UTF-8", "ALL"))
    ask("STORE", lambda: client.store("1", "+FLAGS", "(\\Deleted)"))
    ask("EXPUNGE", client.expunge)
    ask("CLOSE", client.close)
    ask("UNSUBSCRIBE", lambda: client.unsubscribe(NAME))
    ask("DELETE", lambda: client.delete(NAME))


def _pop3(target: Target, said: Transcript) -> None:
    offers_tls = _mailbox(target, said, tls=False)
    if offers_tls:
        _mailbox(target, said, tls=True)
    if not target.accounts:
        said.advice = "nobody logged in: give --probe pop3://USER:PASSWORD@:PORT"


def _mailbox(target: Target, said: Transcript, *, tls: bool) -> bool:
    """A session, within TLS by STLS or not; whether the server offers STLS."""
    opened: list[poplib.POP3] = []

    def greeting() -> object:
        if target.tls:
            opened.append(poplib.POP3_SSL(LOOPBACK, target.port, timeout=target.timeout, context=unverified()))
        else:
            opened.append(poplib.POP3(LOOPBACK, target.port, timeout=target.timeout))
        return "greeted"

    said.ask("greeting", _answered(greeting))
    if not opened:
        return False
    client = opened[0]
    with contextlib.closing(client):
        if tls:
            said.ask("STLS", _answered(lambda: client.stls(unverified())))
        offered = said.ask("CAPA", _answered(client.capa))
        said.ask("USER", _answered(lambda: client.user(f"{NAME}_nobody")))
        said.ask("a wrong password", _answered(lambda: client.pass_("wrong")))
        if target.accounts:
            account = target.accounts[0]
            said.ask("USER", _answered(lambda: client.user(account.user)))
            said.ask("PASS", _answered(lambda: client.pass_(account.password)))
            said.ask("STAT", _answered(client.stat))
            said.ask("UIDL", _answered(lambda: bool(client.uidl())))
        said.ask("QUIT", _answered(client.quit))
        return isinstance(offered, dict) and "STLS" in offered and not (tls or target.tls)


IMAP = Protocol(
    "imap",
    _imap,
    lambda first: first.startswith((b"* OK", b"* PREAUTH", b"* BYE")),
    ports=(143,),
    tls_ports=(993,),
    programs=(("doveadm", "who"),),
)
POP3 = Protocol("pop3", _pop3, lambda first: first.startswith(b"+OK "), ports=(110,), tls_ports=(995,))
