"""FTP: what the server offers, a login as nobody and as the one given or anonymous, listings, a file there and back."""

from __future__ import annotations

import contextlib
import ftplib
import io
from collections.abc import Callable, Iterable, Mapping

from debloat.record.protocols.base import (
    LOOPBACK,
    NAME,
    Account,
    Protocol,
    Refused,
    Target,
    Transcript,
    environment,
    unverified,
)

_CONTENT = "hällo\r\n".encode()


def _accounts(env: Mapping[str, str]) -> Iterable[Account]:
    yield from environment(env, ("FTP_PASSWORD", "FTP_PASS"), users=("FTP_USER", "FTP_USERNAME"), user="ftp")


def _answered(call: Callable[[], object]) -> Callable[[], object]:
    def answered() -> object:
        try:
            return call()
        except ftplib.Error as error:
            raise Refused(*error.args) from error

    return answered


def _converse(target: Target, said: Transcript) -> None:
    account = target.accounts[0] if target.accounts else Account("anonymous", "probe@localhost")
    _session(target, said, _Plain(target), account)
    _session(target, said, _Secured(target), account)
    if not target.accounts:
        said.advice = "nobody but anonymous logged in: give --probe ftp://USER:PASSWORD@:PORT"


class _Passive:
    """Data connections to the port that the server opens, wherever that leads from here."""

    target: Target

    def makepasv(self) -> tuple[str, int]:
        _, port = super().makepasv()  # type: ignore[misc]
        return LOOPBACK, self.target.within(port)


class _Plain(_Passive, ftplib.FTP):
    def __init__(self, target: Target) -> None:
        self.target = target
        super().__init__(timeout=target.timeout)


class _Secured(_Passive, ftplib.FTP_TLS):
    def __init__(self, target: Target) -> None:
        self.target = target
        super().__init__(timeout=target.timeout, context=unverified())


def _session(target: Target, said: Transcript, client: ftplib.FTP, account: Account) -> None:
    def ask(what: str, call: Callable[[], object]) -> object:
        return said.ask(what, _answered(call))

    with contextlib.closing(client):
        # From where the data comes later: servers take it from the same address alone.
        ask("greeting", lambda: client.connect(LOOPBACK, target.within(target.inside or target.port)))
        if isinstance(client, ftplib.FTP_TLS):
            if ask("AUTH TLS", client.auth) is None:
                return
        else:
            ask("FEAT", lambda: client.sendcmd("FEAT"))
            ask("an unknown command", lambda: client.sendcmd("NOSUCH"))
            ask("a wrong password", lambda: ftplib.FTP.login(client, f"{NAME}_nobody", "wrong"))
        if ask(f"log in as {account.user}", lambda: client.login(account.user, account.password)) is None:
            return
        if isinstance(client, ftplib.FTP_TLS):
            ask("PROT P", client.prot_p)
        ask("SYST", lambda: client.sendcmd("SYST"))
        if target.path:
            ask(f"CWD {target.path}", lambda: client.cwd(target.path))
        ask("PWD", client.pwd)
        ask("NLST", client.nlst)
        ask("LIST", lambda: client.retrlines("LIST", lambda _: None))
        ask("MLSD", lambda: bool(list(client.mlsd())))
        ask("RETR of what is not there", lambda: client.retrbinary(f"RETR {NAME}_not_there", lambda _: None))
        if ask("MKD", lambda: client.mkd(NAME)) is None:
            ask("QUIT", client.quit)
            return
        ask("CWD", lambda: client.cwd(NAME))
        ask("STOR", lambda: client.storbinary("STOR a", io.BytesIO(_CONTENT)))
        ask("APPE", lambda: client.storlines("APPE a", io.BytesIO(b"more\n")))
        ask("SIZE", lambda: client.size("a"))
        received = bytearray()
        ask("RETR", lambda: (client.retrbinary("RETR a", received.extend), bytes(received)))
        ask("RNFR, RNTO", lambda: client.rename("a", "b"))
        ask("DELE", lambda: client.delete("b"))
        ask("CDUP", lambda: client.cwd(".."))
        ask("RMD", lambda: client.rmd(NAME))
        ask("QUIT", client.quit)


FTP = Protocol(
    "ftp",
    _converse,
    lambda first: first.startswith(b"220") and b"FTP" in first.upper(),
    ports=(21, 2121),
    accounts=_accounts,
)
