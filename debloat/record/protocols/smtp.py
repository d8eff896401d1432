"""SMTP: what the server offers, a letter to its postmaster, TLS, and what it must refuse."""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Callable, Iterator, Mapping

from debloat.record.protocols.base import LOOPBACK, NAME, Account, Protocol, Refused, Target, Transcript, unverified

_LETTER = (
    b"From: <probe@localhost>\r\nTo: <postmaster>\r\nSubject: =?utf-8?q?h=C3=A4llo?=\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\nh\xc3\xa4llo\r\n.\r\n--b\r\nContent-Type: application/octet-stream\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n"
)
_ELSEWHERE = "somebody@example.com"


def _connected(target: Target) -> smtplib.SMTP:
    if target.tls:
        return smtplib.SMTP_SSL(LOOPBACK, target.port, "localhost", timeout=target.timeout, context=unverified())
    return smtplib.SMTP(LOOPBACK, target.port, "localhost", timeout=target.timeout)


def _answer(call: Callable[[], object]) -> Callable[[], object]:
    """A call whose refusals are those of the server; a connection that is lost ends the conversation."""

    def answered() -> object:
        try:
            return call()
        except smtplib.SMTPServerDisconnected as error:
            raise ConnectionError(str(error)) from error
        except smtplib.SMTPException as error:
            raise Refused(*error.args) from error

    return answered


def _converse(target: Target, said: Transcript) -> None:
    with _greeted(target, said) as client:
        if client is None:
            return
        said.ask("EHLO", _answer(lambda: _features(client)))
        offers_tls = not target.tls and client.has_extn("starttls")
        for what, call in (
            ("VRFY", lambda: client.verify("postmaster")),
            ("EXPN", lambda: client.expn("postmaster")),
            ("HELP", lambda: client.docmd("HELP")[0]),
            ("an unknown command", lambda: client.docmd("NOSUCH")),
            ("RCPT before MAIL", lambda: client.rcpt("postmaster")),
        ):
            said.ask(what, _answer(call))
        _letter(client, said)
        if not offers_tls:
            _logins(client, target, said)
        said.ask("QUIT", _answer(lambda: client.quit()[0]))
    if offers_tls:
        _within_tls(target, said)


def _within_tls(target: Target, said: Transcript) -> None:
    with _greeted(target, said) as client:
        if client is None:
            return
        said.ask("STARTTLS", _answer(lambda: client.starttls(context=unverified())[0]))
        said.ask("EHLO within TLS", _answer(lambda: _features(client)))
        _letter(client, said)
        _logins(client, target, said)
        said.ask("QUIT", _answer(lambda: client.quit()[0]))


@contextlib.contextmanager
def _greeted(target: Target, said: Transcript) -> Iterator[smtplib.SMTP | None]:
    """A connection whose server has greeted; None where it refuses."""
    opened: list[smtplib.SMTP] = []

    def greeting() -> object:
        opened.append(_connected(target))
        return "220"

    said.ask("greeting", _answer(greeting))
    with contextlib.closing(opened[0]) if opened else contextlib.nullcontext() as client:
        yield client


def _logins(client: smtplib.SMTP, target: Target, said: Transcript) -> None:
    if not client.has_extn("auth"):
        return
    said.ask("a wrong password", _answer(lambda: client.login(f"{NAME}_nobody", "wrong")))
    said.advice = "nobody logged in: give --probe smtp://USER:PASSWORD@:PORT"
    account = target.accounts[0] if target.accounts else None
    if account is None:
        return
    if said.ask(f"log in as {account.user}", _answer(lambda: client.login(account.user, account.password))):
        said.advice = ""
        _letter(client, said)


def _features(client: smtplib.SMTP) -> object:
    code, _ = client.ehlo("localhost")
    return code, dict(client.esmtp_features)


def _letter(client: smtplib.SMTP, said: Transcript) -> None:
    """A letter from here: refused to strangers, taken for the postmaster, whom every server has (RFC 5321, 4.5.1)."""
    here = client.ehlo_resp.split()[0].decode("ascii", "replace") if client.ehlo_resp else "localhost"
    said.ask("MAIL", _answer(lambda: client.mail("probe@localhost")))
    said.ask("RCPT elsewhere", _answer(lambda: client.rcpt(_ELSEWHERE)[0]))
    said.ask("RCPT to nobody", _answer(lambda: client.rcpt(f"{NAME}_nobody@{here}")[0]))
    said.ask("RSET", _answer(client.rset))
    said.ask("MAIL", _answer(lambda: client.mail("probe@localhost")))
    taken = [
        said.ask(f"RCPT {name}", _answer(lambda name=name: client.rcpt(name)[0]))  # type: ignore[misc]
        for name in ("postmaster", f"postmaster@{here}", f"root@{here}", "root@localhost")
    ]
    if {250, 251} & set(taken):
        said.ask("DATA", _answer(lambda: client.data(_LETTER)[0]))
    else:
        said.ask("RSET", _answer(client.rset))


def _accounts(env: Mapping[str, str]) -> tuple[Account, ...]:
    return ()


SMTP = Protocol(
    "smtp",
    _converse,
    lambda first: first.startswith((b"220", b"421", b"554")) and b"FTP" not in first.upper(),
    ports=(25, 587, 2525, 1025),
    tls_ports=(465,),
    accounts=_accounts,
    programs=(("postfix", "check"), ("postqueue", "-p"), ("exim4", "-bp"), ("smtpctl", "show", "queue")),
)
