"""LDAP: what the server says of itself, its schema, searches as nobody, and entries where somebody may log in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from debloat.record.protocols.base import (
    LOOPBACK,
    NAME,
    Account,
    Protocol,
    Refused,
    Target,
    Transcript,
    environment,
    login,
)

_HELLO = b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0"
"""BindRequest of nobody, message 1 (RFC 4511, 4.2)."""
_BIND_RESPONSE = b"\x02\x01\x01\x61"

_FILTERS = ("(objectClass=*)", "(cn=*a*)", "(&(objectClass=top)(!(cn~=x)))", "(uid>=0)")

_ADVICE = (
    "nobody logged in: give LDAP_ADMIN_PASSWORD with -e, or --probe ldap://USER_DN:PASSWORD@:PORT (as cn%3Dadmin%2C...)"
)


def _accounts(env: Mapping[str, str]) -> Iterator[Account]:
    domain = env.get("LDAP_DOMAIN") or env.get("SLAPD_DOMAIN") or ""
    of_domain = ",".join(f"dc={part}" for part in domain.split(".") if part)
    base = next((env[n] for n in ("LDAP_BASE_DN", "LDAP_ROOT", "LDAP_SUFFIX") if env.get(n)), of_domain)
    user = next((env[n] for n in ("LDAP_ADMIN_DN", "LDAP_ROOT_DN") if env.get(n)), "")
    name = env.get("LDAP_ADMIN_USERNAME") or "admin"
    user = user or f"cn={name},{base}" if base else user
    for account in environment(env, ("LDAP_ADMIN_PASSWORD", "SLAPD_PASSWORD", "LDAP_ROOT_PASSWORD"), user=user):
        yield Account(user, account.password, base)


def _converse(target: Target, said: Transcript) -> None:
    import ldap3

    with contextlib.ExitStack() as stack:
        server = ldap3.Server(
            LOOPBACK,
            port=target.port,
            use_ssl=target.tls,
            get_info=ldap3.NONE,
            connect_timeout=target.timeout,
            tls=ldap3.Tls(validate=0),
        )

        def connected(account: Account) -> Any:
            connection = ldap3.Connection(
                server,
                account.user or None,
                account.password or None,
                authentication=ldap3.SIMPLE if account.user else ldap3.ANONYMOUS,
                client_strategy=ldap3.SYNC,
                receive_timeout=max(1, int(target.timeout)),
                check_names=False,
            )
            stack.callback(_closed, connection)
            connection.open(read_server_info=False)
            return connection

        nobody: list[Any] = []

        def connect() -> object:
            nobody.append(connected(Account()))
            return "connected"

        said.ask("connect", _answered(connect))
        if not nobody:
            return
        connection = nobody[0]

        def ask(what: str, name: str, *words: Any, **options: Any) -> Any:
            return said.ask(what, _answered(lambda: _outcome(connection, getattr(connection, name)(*words, **options))))

        ask("bind as nobody", "bind", read_server_info=False)
        ask("the root", "search", "", "(objectClass=*)", ldap3.BASE, attributes=["*", "+"])
        contexts = _values(connection, "namingContexts")
        place = next(iter(_values(connection, "subschemaSubentry")), "")
        said.ask("the schema", _answered(lambda: _counted(nobody[0], place)))
        base = target.accounts[0].path if target.accounts and target.accounts[0].path else next(iter(contexts), "")
        _searches(ask, base)
        ask("an extension that is not there", "extended", "1.3.6.1.4.1.4203.666.99")
        if not target.tls:
            secured: list[Any] = []

            def within() -> object:
                secured.append(connected(Account()))
                return secured[0].start_tls(read_server_info=False)

            if said.ask("StartTLS", _answered(within)) is True:
                said.ask("who am I", _answered(lambda: secured[0].extend.standard.who_am_i() or "nobody"))

        def log_in(account: Account) -> object:
            nonlocal connection
            connection = connected(account)
            if not connection.bind(read_server_info=False):
                raise Refused(connection.result["description"])
            return "logged in"

        stranger = Account(f"cn={NAME}_nobody,{base}" if base else f"cn={NAME}_nobody", "wrong")
        answered = _answering(log_in)
        if login(said, target, answered, stranger, _ADVICE) is not None:
            _entries(ask, base)


def _searches(ask: Callable[..., Any], base: str) -> None:
    import ldap3

    for line in _FILTERS:
        ask(f"search {line}", "search", base, line, ldap3.SUBTREE, attributes=["objectClass"], size_limit=20)
    ask("a page", "search", base, "(objectClass=*)", ldap3.SUBTREE, paged_size=2)
    ask("a place that is not there", "search", f"cn={NAME}_not_there,{base}".rstrip(","), "(objectClass=*)", ldap3.BASE)
    ask("compare", "compare", base, "objectClass", "top")


def _entries(ask: Callable[..., Any], base: str) -> None:
    """An entry that is made, found, changed, renamed and removed again."""
    import ldap3

    entry, renamed = f"cn={NAME},{base}", f"cn={NAME}_2,{base}"
    attributes = {"sn": "Käse", "userPassword": "wrong", "mail": "probe@localhost"}
    try:
        ask("add", "add", entry, ["inetOrgPerson"], attributes)
        ask("add it again", "add", entry, ["inetOrgPerson"], attributes)
        ask("add what the schema forbids", "add", f"cn={NAME}_3,{base}", ["inetOrgPerson"], {"nosuch": "x"})
        ask("find it", "search", base, f"(cn={NAME})", ldap3.SUBTREE, attributes=["sn", "mail"])
        ask("change", "modify", entry, {"sn": [(ldap3.MODIFY_REPLACE, ["Tea"])], "mail": [(ldap3.MODIFY_DELETE, [])]})
        ask("compare it", "compare", entry, "sn", "Tea")
        ask("rename", "modify_dn", entry, f"cn={NAME}_2")
    finally:
        ask("delete", "delete", renamed)
        ask("delete what is gone", "delete", entry)


def _outcome(connection: Any, answer: object) -> object:
    """How a request ended, and the entries that it found."""
    result = connection.result or {}
    if result.get("type") == "searchResDone":
        found = [
            (e["dn"], {k: v for k, v in e["attributes"].items() if k.lower() not in _CHANGING})
            for e in connection.response or ()
            if e.get("type") == "searchResEntry"
        ]
        return result["description"], sorted(found, key=str)
    return result.get("description", answer)


_CHANGING = frozenset({"entryuuid", "entrycsn", "createtimestamp", "modifytimestamp", "contextcsn", "monitorcontext"})
"""Attributes of a server's own that differ each time that it is set up."""


def _values(connection: Any, attribute: str) -> list[str]:
    """The values of an attribute of the first entry that the last search found."""
    for entry in connection.response or ():
        values = entry.get("attributes", {}).get(attribute, ())
        return sorted([values] if isinstance(values, str) else map(str, values))
    return []


def _counted(connection: Any, place: str) -> object:
    import ldap3

    connection.search(place, "(objectClass=*)", ldap3.BASE, attributes=["+"])
    entry: dict[str, Any] = next(iter(connection.response or ()), {})
    return {kind: len(values) for kind, values in entry.get("attributes", {}).items() if isinstance(values, list)}


def _answered(call: Callable[[], object]) -> Callable[[], object]:
    """A call whose refusals are those of the server; a connection that is lost ends the conversation."""

    def answered() -> object:
        from ldap3.core import exceptions

        try:
            return call()
        except exceptions.LDAPStartTLSError as error:
            raise Refused("StartTLS") from error
        except exceptions.LDAPCommunicationError as error:
            raise ConnectionError(str(error)) from error
        except exceptions.LDAPException as error:
            raise Refused(type(error).__name__) from error

    return answered


def _answering(call: Callable[[Account], object]) -> Callable[[Account], object]:
    return lambda account: _answered(lambda: call(account))()


def _closed(connection: Any) -> None:
    with contextlib.suppress(Exception):
        connection.unbind()


LDAP = Protocol(
    "ldap",
    _converse,
    lambda first: first[:1] == b"\x30" and _BIND_RESPONSE in first[:12],
    hello=_HELLO,
    ports=(389, 1389),
    tls_ports=(636, 1636),
    modules=("ldap3",),
    accounts=_accounts,
    programs=(
        ("ldapsearch", "-x", "-H", "ldap://localhost:{port}", "-s", "base", "-b", "", "+"),
        ("ldapwhoami", "-x", "-H", "ldap://localhost:{port}"),
        ("slapcat", "-n", "0"),
        ("slaptest", "-u"),
    ),
)
