"""PostgreSQL: statements of every kind in a temporary table, what the catalogues list, extensions in transactions that
are rolled back."""

from __future__ import annotations

import contextlib
import socket
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

_SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"
"""SSLRequest (PostgreSQL, Message Formats): answered with one byte, `S` or `N`."""

_TABLE = (
    f"create temporary table {NAME} (id serial primary key, name text not null, price numeric(8, 2), made timestamptz,"
    " more jsonb, tags text[])",
    f"insert into {NAME} (name, price, made, more, tags) values"
    " ('tea', 3.50, '2024-01-01 12:00+00', '{\"a\": [1, {\"b\": 2}]}', '{x,y}'),"
    " ('Käse', 7.25, '2024-07-01 12:00+00', '{}', '{}'), ('bread', 2, null, null, null) returning id, name",
    f"create index {NAME}_name on {NAME} (lower(name))",
    f"create index {NAME}_text on {NAME} using gin (to_tsvector('simple', name))",
    f"create unique index {NAME}_hash on {NAME} (name)",
    f"analyze {NAME}",
    f"select a.name, b.name from {NAME} a join {NAME} b on a.id < b.id order by a.id, b.id",
    f"select count(*), sum(price), avg(price), min(made), array_agg(name order by id), stddev(price) from {NAME}",
    f"select name, rank() over (order by price desc), lag(name) over (order by id) from {NAME} order by id",
    "with recursive n as (select 1 x union all select x + 1 from n where x < 5) select sum(x) from n",
    f"select more -> 'a' -> 1, jsonb_path_query_first(more, '$.a[1].b') from {NAME} where more @> '{{}}' order by id",
    f"select made at time zone 'Asia/Tokyo', made at time zone 'America/New_York' from {NAME} order by id",
    "select to_char(timestamp '2024-02-29', 'Day DD Month YYYY'), age('2024-03-01', '2023-02-01')",
    f'select name from {NAME} order by name collate "C"',
    f"update {NAME} set price = price * 2 where name = 'tea' returning price",
    f"insert into {NAME} (name) values ('tea') on conflict (name) do update set price = 1 returning id",
    f"explain (costs off) select * from {NAME} where id = 1",
    f"delete from {NAME} where name = 'bread'",
    f"vacuum {NAME}",
)

_VALUES = (
    "select regexp_replace('abc', '(b)', '<\\1>'), similar_escape('a', '\\'), format('%I', 'a b'), initcap('hällo')",
    "select md5('x'), sha512('x'), encode('x', 'base64'), gen_random_uuid() is not null",
    "select '[1,5)'::int4range * '[3,9)'::int4range, '192.0.2.0/24'::inet >> '192.0.2.7', '(1,2)'::point <-> '(4,6)'",
    "select xpath('/a/text()', '<a>b</a>'), xmlelement(name a, 'b')",
    "select xmlparse(document '<a>')",
    "select count(*) > 0 from pg_timezone_names",
    "select count(*) > 0 from pg_timezone_abbrevs",
    "select cfgname, to_tsvector(oid::regconfig, 'running horses Pferde chevaux книги') from pg_ts_config order by 1",
    "select ts_headline('simple', 'a running horse', to_tsquery('simple', 'horse'))",
    "select pg_encoding_to_char(conforencoding), convert('a', pg_encoding_to_char(conforencoding),"
    " pg_encoding_to_char(contoencoding)) from pg_conversion where condefault order by 1, contoencoding",
    "do $$ declare c record; begin for c in select collname, collnamespace::regnamespace s from pg_collation"
    " where collencoding in (-1, (select encoding from pg_database where datname = current_database()))"
    " order by collname limit 200 loop begin execute format('select ''a'' < ''b'' collate %s.%I', c.s, c.collname);"
    " exception when others then null; end; end loop; end $$",
    "do $$ declare c record; begin for c in select distinct collcollate from pg_collation where collprovider = 'c'"
    " and collcollate ~* 'utf-?8' order by 1 limit 20 loop begin"
    " perform set_config('lc_messages', c.collcollate, true); perform set_config('lc_time', c.collcollate, true);"
    " perform to_char(now(), 'TMDay TMMonth'); perform 1 / 0;"
    " exception when others then null; end; end loop; end $$",
)

_PLANS = (
    "set jit = on",
    "set jit_above_cost = 0",
    "set jit_inline_above_cost = 0",
    "set jit_optimize_above_cost = 0",
    "select sum(x * 1.5) from generate_series(1, 100) x",
    "set jit = off",
    "set parallel_setup_cost = 0",
    "set parallel_tuple_cost = 0",
    "set min_parallel_table_scan_size = 0",
    "-- select count(*) from pg_class",
    "prepare p as select $1::int + 1",
    "execute p (41)",
    f"listen {NAME}",
    f"notify {NAME}, 'news'",
    "select pg_advisory_lock(7), pg_advisory_unlock(7)",
)

_ERRORS = ("select 1 / 0", "select * from", f"select * from {NAME}_not_there", "select 'x'::int")

_CATALOGUES = (
    "select pg_catalog.format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'pg_class'::regclass"
    " and attnum between 1 and 5 order by attnum",
    "-- select count(*) from information_schema.tables",
    "-- select count(*) from pg_settings",
    "-- select count(*) from pg_stat_activity",
    "-- select count(*) from pg_file_settings",
    "-- select count(*) from pg_hba_file_rules",
    "-- select count(*) from pg_config",
    "-- select pg_database_size(current_database())",
    "-- select pg_reload_conf()",
    "-- checkpoint",
)

_ROLLED_BACK = (
    "create function {name}_add(a int, b int) returns int language sql as 'select a + b'",
    "create function {name}_f() returns trigger language plpgsql as $$ begin new.x = upper(new.x); return new; end $$",
    "create table {name}_t (x text) partition by list (x)",
    "create view {name}_v as select 1 x",
    "create materialized view {name}_m as select 1 x",
    "create text search dictionary {name}_th (template = thesaurus, dictfile = thesaurus_sample,"
    " dictionary = english_stem)",
    "create text search dictionary {name}_sy (template = synonym, synonyms = synonym_sample)",
    "create text search dictionary {name}_is (template = ispell, dictfile = ispell_sample, afffile = ispell_sample)",
    "select lo_get(lo_from_bytea(0, 'x'))",
    "create role {name}_r login password 'x'",
)

_LANGUAGES = {
    "plpython3u": "import datetime, decimal, hashlib, json, re, uuid, zoneinfo; len(zoneinfo.available_timezones());"
    ' json.dumps(str(zoneinfo.ZoneInfo("Europe/Berlin"))); plpy.execute("select 1")',
    "plperl": 'use strict; my $x = spi_exec_query("select 1"); elog(DEBUG1, $x->{processed});',
    "plperlu": 'use strict; use POSIX; my $x = spi_exec_query("select 1");',
    "pltcl": 'spi_exec "select 1"',
    "plpgsql": "declare x int; begin select count(*) into x from pg_class; raise debug '%', x; end",
}
"""Extension of a procedural language -> something said in it."""

_MAX_EXTENSIONS = 80


def _accounts(env: Mapping[str, str]) -> Iterator[Account]:
    user = env.get("POSTGRES_USER") or env.get("POSTGRESQL_USERNAME") or env.get("PGUSER") or "postgres"
    path = env.get("POSTGRES_DB") or env.get("POSTGRESQL_DATABASE") or env.get("PGDATABASE") or user
    passwords = ("POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD", "POSTGRESQL_POSTGRES_PASSWORD", "PGPASSWORD")
    found = [Account(user, account.password, path) for account in environment(env, passwords)]
    yield from found or [Account(user, "", path)]


def _offers_tls(target: Target) -> bool:
    with socket.create_connection((LOOPBACK, target.port), timeout=target.timeout) as plain:
        plain.sendall(_SSL_REQUEST)
        return plain.recv(1) == b"S"


def _converse(target: Target, said: Transcript) -> None:
    import pg8000.exceptions
    import pg8000.native

    with contextlib.ExitStack() as stack:
        tls = bool(said.ask("TLS", lambda: _offers_tls(target)))

        connections: list[Any] = []

        def connect(account: Account) -> object:
            try:
                connection = pg8000.native.Connection(
                    account.user,
                    LOOPBACK,
                    account.path or account.user,
                    target.port,
                    account.password or None,
                    ssl_context=unverified() if tls else False,
                    timeout=target.timeout,
                )
            except (pg8000.exceptions.Error, AttributeError) as error:
                raise _refused(error) from error
            stack.callback(_closed, connection)
            connections.append(connection)
            return "logged in"

        nobody = Account(f"{NAME}_nobody", "wrong", "postgres")
        advice = "nobody can log in: give POSTGRES_PASSWORD with -e, or --probe postgres://USER:PASSWORD@:PORT/DATABASE"
        account = login(said, target, connect, nobody, advice)
        if account is None:
            return
        run = _runner(connections[-1])
        statements(said, run, ("set statement_timeout = '10s'", *_TABLE, *_VALUES, *_PLANS, *_ERRORS, *_CATALOGUES))
        said.ask("copy", lambda: _copied(connections[-1]))
        statements(said, run, ("begin",))
        for line in _ROLLED_BACK:
            statements(said, run, ("savepoint s", line.replace("{name}", NAME), "rollback to s"))
        statements(said, run, ("rollback",))
        _databases(said, run)
        names = said.ask("extensions", lambda: run("select name from pg_available_extensions order by name"))
        for row in list(names or ())[:_MAX_EXTENSIONS]:  # type: ignore[call-overload]
            _extension(said, run, str(row[0]))


def _runner(connection: Any) -> Any:
    import pg8000.exceptions

    def run(line: str) -> object:
        try:
            return connection.run(line)
        except pg8000.exceptions.Error as error:
            raise _refused(error) from error

    return run


def _refused(error: Exception) -> Exception:
    """An error of the server as its SQLSTATE and message, without the places in its source; whatever else the library
    raises as the end of the connection."""
    import pg8000.exceptions

    told = error.args[0] if error.args and isinstance(error.args[0], dict) else None
    if told is not None:
        return Refused(told.get("C", ""), told.get("M", ""))
    if isinstance(error, pg8000.exceptions.InterfaceError):
        return ConnectionError(str(error))
    return Refused(str(error))  # no password was given where one is wanted: the library trips over that


def _closed(connection: Any) -> None:
    with contextlib.suppress(Exception):
        connection.close()


def _copied(connection: Any) -> object:
    import io

    out = io.BytesIO()
    connection.run(f"copy (select name from {NAME} order by id) to stdout", stream=out)
    connection.run(f"copy {NAME} (name) from stdin", stream=io.BytesIO(b"copied\n"))
    return out.getvalue()


def _databases(said: Transcript, run: Any) -> None:
    """A database more, unless there is one by that name."""
    try:
        statements(said, run, (f"create database {NAME} template template0",))
    finally:
        statements(said, run, (f"drop database if exists {NAME}",))


def _extension(said: Transcript, run: Any, name: str) -> None:
    """An extension that the server has, within a transaction that is rolled back; a language says something too."""
    quoted = '"' + name.replace('"', '""') + '"'
    statements(said, run, ("begin", f"-- create extension if not exists {quoted} cascade"))
    if name in _LANGUAGES:
        statements(said, run, (f"do language {quoted} $say${_LANGUAGES[name]}$say$",))
    statements(said, run, ("rollback",))


POSTGRES = Protocol(
    "postgres",
    _converse,
    lambda first: first in (b"S", b"N"),
    hello=_SSL_REQUEST,
    ports=(5432, 5433, 6432),
    modules=("pg8000",),
    accounts=_accounts,
    programs=(
        ("pg_isready", "-p", "{port}"),
        ("psql", "-p", "{port}", "-U", "{user}", "-d", "{path}", "-Atc", "select 1"),
        ("pg_dump", "-p", "{port}", "-U", "{user}", "-d", "{path}", "-f", "/dev/null"),
        ("pg_dumpall", "-p", "{port}", "-U", "{user}", "--globals-only", "-f", "/dev/null"),
        ("pg_restore", "--version"),
        ("pg_basebackup", "--version"),
    ),
)
