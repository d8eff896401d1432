"""MariaDB and MySQL: statements of every kind in a database of the conversation's own, and what the schema lists."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
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
    unverified,
)
from debloat.record.protocols.sql import statements

_STATEMENTS = (
    "set names utf8mb4",
    "create table product (id int auto_increment primary key, name varchar(50) unique, price decimal(8, 2),"
    " made datetime, more json, fulltext (name)) engine = innodb",
    "insert into product (name, price, made, more) values ('tea', 3.50, '2024-01-01 12:00:00', '{\"a\": [1, 2]}'),"
    " ('Käse', 7.25, '2024-07-01 12:00:00', '{}'), ('bread', 2, null, null)",
    "create index price on product (price)",
    "select a.name, b.name from product a join product b on a.id < b.id order by a.id, b.id",
    "select count(*), sum(price), avg(price), group_concat(name order by name) from product",
    "select name, rank() over (order by price desc) from product order by id",
    "with recursive n as (select 1 x union all select x + 1 from n where x < 5) select sum(x) from n",
    "select json_extract(more, '$.a[1]'), json_valid('{') from product order by id",
    "select name from product where match (name) against ('tea')",
    "select date_format('2024-02-29', '%W %d %M %Y'), date_add('2024-01-31', interval 1 month)",
    "select convert_tz('2024-01-01 12:00:00', '+00:00', '+09:00'), convert_tz('2024-01-01', 'UTC', 'Asia/Tokyo')",
    "select hex(convert('ä' using latin1)), 'abc' regexp '^a.c$', sha2('x', 512)",
    "select aes_decrypt(aes_encrypt('x', 'k'), 'k')",
    "select uncompress(compress(repeat('a', 100))) = repeat('a', 100), uuid() is not null, inet_aton('192.0.2.7')",
    "select st_astext(st_centroid(st_geomfromtext('polygon((0 0,2 0,2 2,0 2,0 0))')))",
    "explain select * from product where id = 1",
    "update product set price = price * 2 where name = 'tea'",
    "insert into product (name) values ('tea') on duplicate key update price = 1",
    "delete from product where name = 'bread'",
    "start transaction",
    "insert into product (name) values ('not to stay')",
    "rollback",
    "create view cheap as select name from product where price < 10",
    "create procedure p() select 42",
    "call p()",
    "create function f(x int) returns int deterministic return x + 1",
    "select f(41)",
    "create trigger t before insert on product for each row set new.name = upper(new.name)",
    "insert into product (name) values ('shout')",
    "select name from product order by name",
    "create event e on schedule every 1 day do select 1",
    "prepare s from 'select ? + 1'",
    "create temporary table scratch (x int)",
    "create table old (x int, t text, fulltext (t)) engine = myisam",
    "insert into old values (1, 'running horses'), (2, 'tea')",
    "select count(*) from old where match (t) against ('horses')",
    "create table parts (x int) partition by hash (x) partitions 2",
    "analyze table product",
    "check table product, old",
    "optimize table old",
    "create user debloat_probe@localhost identified by 'Aa1!aaaa-'",
    "grant select on debloat_probe.* to debloat_probe@localhost",
    "show grants for debloat_probe@localhost",
    "drop user debloat_probe@localhost",
)

_CATALOGUES = (
    "show create table product",
    "-- show variables",
    "-- show status",
    "-- show engines",
    "-- show full processlist",
    "-- show engine innodb status",
    "-- show character set",
    "-- show collation",
    "-- select count(*) from information_schema.tables",
    "-- show plugins soname",
    "-- flush status",
)

_ERRORS = ("select * from", "select * from not_there", "insert into product (id) values (1)", "select 1 from no.where")


_LANGUAGES = 130
"""More than there are (`sql/sql_locale.cc`): what is not there is an error, and goes quickly."""


def _accounts(env: Mapping[str, str]) -> Iterator[Account]:
    roots = ("MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD")
    yield from environment(env, roots, user="root")
    users, paths = ("MARIADB_USER", "MYSQL_USER"), ("MARIADB_DATABASE", "MYSQL_DATABASE")
    yield from environment(env, ("MARIADB_PASSWORD", "MYSQL_PASSWORD"), users=users, paths=paths)
    yield Account("root")


def _converse(target: Target, said: Transcript) -> None:
    import pymysql

    with contextlib.ExitStack() as stack:
        opened: list[Any] = []

        def connect(account: Account, *, tls: bool = False) -> object:
            try:
                connection = pymysql.connect(
                    host=LOOPBACK,
                    port=target.port,
                    user=account.user,
                    password=account.password,
                    database=account.path or None,
                    charset="utf8mb4",
                    autocommit=True,
                    connect_timeout=max(1, int(target.timeout)),
                    read_timeout=target.timeout,
                    write_timeout=target.timeout,
                    **({"ssl": unverified()} if tls else {"ssl_disabled": True}),
                )
            except pymysql.err.OperationalError as error:
                raise (Refused(*error.args) if tls else _refused(error)) from None
            stack.callback(_closed, connection)
            opened.append(connection)
            return "logged in"

        advice = (
            "nobody can log in: give MARIADB_ROOT_PASSWORD or MYSQL_ROOT_PASSWORD with -e,"
            " or --probe mysql://USER:PASSWORD@:PORT/DATABASE"
        )
        account = login(said, target, connect, Account(f"{NAME}_nobody", "wrong"), advice)
        if account is None:
            return
        connection = opened[-1]

        def run(line: str) -> object:
            try:
                with connection.cursor() as cursor:
                    cursor.execute(line)
                    return cursor.fetchall()
            except pymysql.err.MySQLError as error:
                raise _refused(error) from error

        said.ask("within TLS", lambda: connect(account, tls=True))
        own = said.ask("a database", lambda: run(f"create database {NAME}")) is not None
        try:
            if own:
                statements(said, run, (f"use {NAME}", *_STATEMENTS))
            statements(said, run, (*_CATALOGUES, *_ERRORS))
            _languages(said, run)
        finally:
            if own:
                statements(said, run, (f"drop database {NAME}",))


def _languages(said: Transcript, run: Any) -> None:
    """Names of months and messages in each language that the server knows: they go by numbers without a gap."""

    def each() -> object:
        refused = []
        for number in range(_LANGUAGES):
            for variable in ("lc_time_names", "lc_messages"):
                try:
                    run(f"set {variable} = {number}")
                    run("select monthname('2024-02-01')")
                except Refused as error:
                    refused.append(f"{variable} {number}: {error}")
        return refused

    said.ask("languages", each)
    statements(said, run, ("set lc_time_names = 'en_US'", "set lc_messages = 'en_US'"))


def _refused(error: Exception) -> Exception:
    """An error of the server as such; one of the connection (2000 to 2999, `errmsg.h`) as the end of it."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    return ConnectionError(str(error)) if 2000 <= code < 3000 else Refused(*error.args)


def _closed(connection: Any) -> None:
    with contextlib.suppress(Exception):
        connection.close()


def _greets(first: bytes) -> bool:
    """Whether it is a handshake (protocol version 10), or an error packet in its place: the host is blocked, say."""
    return len(first) > 5 and first[3] == 0 and first[4] in (10, 255)


MYSQL = Protocol(
    "mysql",
    _converse,
    _greets,
    ports=(3306, 3307),
    modules=("pymysql",),
    accounts=_accounts,
    programs=tuple(
        (name, "--port={port}", "--user={user}", "--password={password}", *words)
        for names, words in (
            (("mariadb", "mysql"), ("--batch", "-e", "select 1")),
            (("mariadb-admin", "mysqladmin"), ("ping",)),
            (("mariadb-dump", "mysqldump"), ("--no-data", "--result-file=/dev/null", "mysql")),
            (("mariadb-check", "mysqlcheck"), ("mysql", "user")),
        )
        for name in names
    ),
)
