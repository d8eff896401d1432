"""Perl: modules reached from kept code, their parts and units, and what must not follow."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.rules.languages.perl import rules as perl
from debloat.rules.languages.perl import source as perlparse
from tests.support import chroots, trees
from tests.support.debs import deb_world
from tests.support.dpkgdb import debian_world
from tests.support.trees import Table

SHARE = "/usr/share/perl/5.36"
LIB = "/usr/lib/x86_64-linux-gnu/perl/5.36"

IMAGE: Table = {
    "/usr/bin/perl": ("0755", "\x7fELF"),
    SHARE: "-> 5.36.0",
    "/usr/share/perl/5.36.0/Foo.pm": "package Foo; 1;",
    "/usr/share/perl/5.36.0/Foo/Bar.pm": "package Foo::Bar; 1;",
    "/usr/share/perl/5.36.0/Other.pm": "package Other; 1;",
    "/usr/share/perl/5.36.0/old.pl": "1;",
    "/usr/share/perl/5.36.0/DBD/SQLite.pm": "1;",
    "/usr/share/perl/5.36.0/DBD/Pg.pm": "1;",
    "/usr/share/perl/5.36.0/DBI.pm": 'package DBI; sub load { my $c = "DBD::$_[0]"; eval "require $c" } 1;',
    "/usr/share/perl/5.36.0/Plack/Middleware/Static.pm": "1;",
    "/app/lib/My/App.pm": "package My::App; use My::Model; 1;",
    "/app/lib/My/Model.pm": "package My::Model; 1;",
    "/app/mods/Extra.pm": "package Extra; use Second; 1;",
    "/app/mods/Second.pm": "package Second; 1;",
}


def _reached(text: str, path: str = "/app/run.pl") -> list[str]:
    world = trees.world({**IMAGE, path: ("0755", text)}, config={"WorkingDir": "/srv"})
    kept = trees.paths(trees.closed(world, perl.RULES, path))
    return [p.removeprefix("/usr/share/perl/5.36.0/") for p in kept if p not in (path, SHARE)]


CASES = [
    ("use", "use strict; use Foo;", ["Foo.pm"]),
    ("use with a version", "use Foo 1.2 qw(x);", ["Foo.pm"]),
    ("require within a block", "if (0) { require Foo::Bar }", ["Foo/Bar.pm"]),
    ("the old separator", "use Foo'Bar;", ["Foo/Bar.pm"]),
    ("no", "no Foo;", ["Foo.pm"]),
    ("parent", "use parent qw(Foo Foo::Bar);", ["Foo.pm", "Foo/Bar.pm"]),
    ("base over lines", "use base (\n  'Foo',\n 'Foo::Bar',\n);", ["Foo.pm", "Foo/Bar.pm"]),
    ("Moose's extends", "extends 'Foo';", ["Foo.pm"]),
    ("a required file", 'require "old.pl";', ["old.pl"]),
    ("words of a sentence", 'die "not without Other (available as Foo)";', []),
    ("a file of a made-up name", 'require "Foo/$kind.pm";', ["Foo/Bar.pm"]),
    ("a done file", "do 'old.pl';", ["old.pl"]),
    ("string eval", 'eval "require Foo";', ["Foo.pm"]),
    ("Module::Runtime", "use_module('Foo');", ["Foo.pm"]),
    ("a name in the application's text", "my $class = 'Foo::Bar'; $class->new", ["Foo/Bar.pm"]),
    ("a class that is called", "Foo::Bar->new", ["Foo/Bar.pm"]),
    ("a data source name", 'DBI->connect("dbi:Pg:x")', ["DBD/Pg.pm"]),
    ("a short name", 'enable "Static", path => 1;', ["Plack/Middleware/Static.pm"]),
    ("DBI loads drivers by made-up names", "use DBI;", ["DBD/Pg.pm", "DBD/SQLite.pm", "DBI.pm"]),
    ("modules in lib, and theirs", "use My::App;", ["/app/lib/My/App.pm", "/app/lib/My/Model.pm"]),
    (
        "use lib with FindBin",
        'use FindBin; use lib "$FindBin::Bin/mods"; use Extra;',
        ["/app/mods/Extra.pm", "/app/mods/Second.pm"],
    ),
    ("documentation", "=pod\n\nuse Foo;\n\n=cut\n\nuse Other;", ["Other.pm"]),
    ("a comment", "# use Foo;\nuse Other; # use Foo;", ["Other.pm"]),
    ("after the end", "use Other;\n__END__\nuse Foo;", ["Other.pm"]),
    ("a hash key, a variable, a method", "$x{use}; $use Foo; (use Foo => 1); $x->require Foo;", []),
    ("a formatter by default", "my $f = 'Foo::Bar'; eval \"require $f\"", ["Foo/Bar.pm"]),
    ("nothing", "print 1;", []),
]


@pytest.mark.parametrize(("text", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_reached(text: str, expected: list[str]) -> None:
    assert _reached("#!/usr/bin/perl\n" + text) == sorted(expected)


def test_only_perl_files_are_read() -> None:
    assert _reached("#!/bin/sh\nuse Foo;", "/app/run") == []
    assert _reached("use Foo;", "/app/notes.txt") == []
    assert _reached("#!/usr/bin/env perl\nuse Foo;", "/app/run") == ["Foo.pm"]


def test_evidence_names_module_and_line() -> None:
    world = trees.world({**IMAGE, "/app/run.pl": "use strict;\n=pod\n\n=cut\nuse Foo;\n"})
    closure = trees.closed(world, perl.RULES, "/app/run.pl")
    (evidence,) = closure.evidence["/usr/share/perl/5.36.0/Foo.pm"]
    assert (evidence.rule, evidence.detail) == ("perl.use", "Foo, line 5")


def test_parts_of_a_module() -> None:
    table: Table = {
        f"{LIB}/List/Util.pm": "",
        f"{LIB}/auto/List/Util/Util.so": "",
        f"{LIB}/auto/List/Other/Other.so": "",
    }
    world = trees.world(table)
    assert trees.paths(trees.closed(world, perl.RULES, f"{LIB}/List/Util.pm")) == [
        f"{LIB}/List/Util.pm",
        f"{LIB}/auto/List/Util/Util.so",
    ]


def test_of_two_files_of_a_name_the_first_in_inc_is_loaded() -> None:
    """Debian's perl searches perl-base before the full perl; XSLoader(3perl) looks beside the module."""
    base = "/usr/lib/x86_64-linux-gnu/perl-base"
    names = ("auto/re/re.so", "Errno.pm", "Unicode/UCD.pm", "unicore/To.pl")
    table: Table = {f"{place}/{name}": "" for place in (base, LIB) for name in names}
    world = trees.world({**table, f"{LIB}/re.pm": "", f"{LIB}/unicore/UCD.pl": "", "/usr/bin/perl": ("0755", "")})
    found = trees.paths(trees.closed(world, perl.RULES, f"{LIB}/re.pm", f"{LIB}/Unicode/UCD.pm", "/usr/bin/perl"))
    expected = [*(f"{LIB}/{n}" for n in ("Unicode/UCD.pm", "auto/re/re.so", "re.pm", "unicore/UCD.pl"))]
    assert found == sorted([*expected, f"{base}/Errno.pm", f"{base}/unicore/To.pl", "/usr/bin/perl"])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("use Encode; print decode('UTF-8', $x);", False),
        ("use Encode qw(find_encoding); find_encoding($name)->decode($x);", True),
        ("use Encode; print encode('euc-jp', $x);", True),
        ("open my $f, '<:encoding($charset)', $x;", True),
        ("use JSON; print decode($x);", False),
    ],
)
def test_tables_of_east_asia_follow_encodings_named_at_run_time(text: str, kept: bool) -> None:
    names = ("Encode.pm", "Encode/Byte.pm", "Encode/JP.pm", "Encode/encode.h", "auto/Encode/JP/JP.so")
    world = trees.world({"/app/run.pl": text, "/app/lib.pl": "use Encode;", **{f"{LIB}/{n}": "" for n in names}})
    found = trees.paths(trees.closed(world, perl.RULES, "/app/run.pl", "/app/lib.pl"))
    tables = ["Encode/JP.pm", "auto/Encode/JP/JP.so"] if kept else []
    expected = sorted(["Encode.pm", "Encode/Byte.pm", *tables])
    assert found == ["/app/lib.pl", "/app/run.pl", *(f"{LIB}/{n}" for n in expected)]


def test_a_package_is_a_unit_and_perl_itself_is_not() -> None:
    own = ["/usr/share/perl5/P.pm", "/usr/share/perl5/P/Q.pm", "/usr/share/perl5/P/page.html", "/usr/share/perl5/P.pod"]
    core = ["/usr/share/perl/5.36/A.pm", "/usr/share/perl/5.36/B.pm"]
    owned = {"libp-perl": [*own, "/usr/bin/p"], "perl-modules-5.36": core}
    world = trees.world(dict.fromkeys([*own, *core, "/usr/bin/p"], ""), owned=owned)
    assert trees.paths(trees.closed(world, perl.RULES, own[1])) == sorted(own[:3])
    assert trees.paths(trees.closed(world, perl.RULES, core[0])) == core[:1]


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/app/run.sh", "perl -MFoo -MFoo::Bar=x,y -e 'print 1'", ["Foo.pm", "Foo/Bar.pm"]),
        ("/app/x.cgi", "#!/bin/sh\ndate | perl -wmFoo -ne 1", ["Foo.pm"]),
        ("/app/run.sh", "perl -e 'use Other; print Foo'", ["Other.pm"]),
        ("/app/run.py", "subprocess.run(['perl', '-MFoo', '-e', x])", ["Foo.pm"]),
        ("/app/run.sh", "ls -MFoo; # perl", []),
        ("/usr/share/x/run.sh", "perl -MFoo -e 1", []),
    ],
)
def test_modules_of_programs_on_the_command_line(path: str, text: str, expected: list[str]) -> None:
    world = trees.world({**IMAGE, path: ("0755", text)}, owned={"x": ["/usr/share/x/run.sh"]})
    kept = trees.paths(trees.closed(world, perl.RULES, path))
    start = "/usr/share/perl/5.36.0/"
    assert [p.removeprefix(start) for p in kept if p.startswith(start)] == expected


def test_a_link_does_not_stand_for_a_package_of_modules() -> None:
    own = ["/usr/share/perl5/P/Q.pm", "/usr/share/perl5/P/R.pm"]
    link = {"/usr/share/perl5/P/Config.pm": "-> /etc/p/Config.pm", "/etc/p/Config.pm": ""}
    world = trees.world({**dict.fromkeys(own, ""), **link}, owned={"libp-perl": [*own, "/usr/share/perl5/P/Config.pm"]})
    assert trees.paths(trees.closed(world, perl.RULES, own[1])) == sorted([*own, *link])


def test_a_package_s_perl_programs_belong_to_the_unit() -> None:
    table: Table = {
        "/usr/share/perl5/P.pm": "",
        "/usr/share/perl5/P/Run.pm": "",
        "/usr/bin/run-p": ("0755", "#!/usr/bin/perl -w\nuse P::Run;"),
        "/usr/bin/sh-p": ("0755", "#!/bin/sh\nexec perl -MP"),
        "/usr/share/doc/p/examples/p.pl": ("0755", "#!/usr/bin/perl"),
        "/usr/bin/perl-other": ("0755", "#!/usr/bin/perl"),
    }
    world = trees.world(table, owned={"libp-perl": [p for p in table if "other" not in p]})
    kept = trees.paths(trees.closed(world, perl.RULES, "/usr/share/perl5/P/Run.pm"))
    assert kept == ["/usr/bin/run-p", "/usr/share/perl5/P.pm", "/usr/share/perl5/P/Run.pm"]


def test_a_cpan_distribution_is_a_unit() -> None:
    site = "/usr/local/share/perl/5.36.0"
    listing = "/usr/local/lib/x86_64-linux-gnu/perl/5.36.0/auto/A/B/.packlist"
    files = [f"{site}/A/B.pm", f"{site}/A/B/C.pm", f"{site}/A/B/x.tmpl"]
    text = "\n".join([*files, "/usr/local/man/man3/A::B.3pm type=file"])
    world = trees.world({**dict.fromkeys(files, ""), f"{site}/Z.pm": "", listing: text})
    assert trees.paths(trees.closed(world, perl.RULES, files[1])) == files


def test_perl_base_stays_within_itself() -> None:
    base = "/usr/lib/x86_64-linux-gnu/perl-base"
    table: Table = {"/usr/bin/perl": ("0755", ""), f"{base}/Getopt/Long.pm": "require Pod::Usage;"}
    world = trees.world({**table, "/usr/share/perl5/Pod/Usage.pm": ""}, owned={"perl-base": [f"{base}/Getopt/Long.pm"]})
    assert trees.paths(trees.closed(world, perl.RULES, f"{base}/Getopt/Long.pm")) == [f"{base}/Getopt/Long.pm"]


def test_perl_base_follows_from_an_application_that_runs_perl() -> None:
    base = "/usr/lib/x86_64-linux-gnu/perl-base"
    table: Table = {
        "/usr/bin/perl": ("0755", ""),
        f"{base}/POSIX.pm": "",
        f"{base}/PerlIO.pm": "",
        "/app/run.sh": ("0755", "perl -MPOSIX -e 1"),
        "/usr/share/p/run.sh": ("0755", "perl -e 1"),
    }
    world = trees.world(table, owned={"p": ["/usr/share/p/run.sh", "/usr/bin/perl"]})
    assert f"{base}/POSIX.pm" in trees.closed(world, perl.RULES, "/app/run.sh")
    assert trees.paths(trees.closed(world, perl.RULES, "/usr/share/p/run.sh", "/usr/bin/perl")) == [
        "/usr/bin/perl",
        f"{base}/PerlIO.pm",
        "/usr/share/p/run.sh",
    ]
    unit = "/opt/venv/lib/python3.11/site-packages/pygments/lexers/matlab.py"
    world = trees.world({**table, unit: "#     perl -e '@name = qw('\"$i\"');"})
    assert trees.paths(trees.closed(world, perl.RULES, unit)) == [unit]
    config = trees.world(table, owned={"p": list(table)}, config={"Cmd": ["perl", "-e", "1"]})
    assert f"{base}/POSIX.pm" in trees.closed(config, perl.RULES)


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("use strict;\nuse Foo;\nuse CGI qw(:standard);\n", False),
        ("use Foo;\nuse lib '/opt';\nuse CGI;\n", True),
        ("BEGIN { unshift @INC, '/opt' }\nuse Foo;\nuse CGI;\n", True),
        ("use Foo;\neval { require CGI };\n", True),
        ("use Foo;\n    use CGI;\n", True),
        ("use Foo;\nsub page {\nuse CGI;\n}\n", True),
        ("use Foo;\nprint <<END;\nuse CGI;\nEND\n", True),
        ("use Foo;\nif (0) {\nuse CGI;\n}\n", True),
        ("use Foo 1.2;\nuse 5.010;\nuse Foo::Bar;\n", True),
        ("use Foo;\nuse Extra;\n", True),
    ],
)
@pytest.mark.parametrize("owned", [True, False])
def test_what_a_script_loads_that_does_not_begin(text: str, begins: bool, owned: bool) -> None:
    """A package's script without a module that it uses ends at once; an application may bring it later."""
    script = "/usr/share/gitweb/gitweb.cgi"
    world = trees.world(
        {**IMAGE, script: ("0755", f"#!/usr/bin/perl\n{text}")}, owned={"git": [script]} if owned else {}
    )
    kept = trees.paths(trees.closed(world, perl.RULES, script))
    assert ("/usr/share/perl/5.36.0/Foo.pm" in kept) == (begins or not owned)


def test_file_spec_has_the_part_of_this_system() -> None:
    """It loads File/Spec/$module.pm, of which there are those of other systems too."""
    table: Table = {
        f"{LIB}/File/Spec.pm": 'package File::Spec; my $m = $m{$^O} || "Unix"; require "File/Spec/$m.pm";',
        f"{LIB}/File/Spec/Unix.pm": "package File::Spec::Unix; 1;",
        f"{LIB}/File/Spec/VMS.pm": "package File::Spec::VMS; 1;",
    }
    kept = trees.paths(trees.closed(trees.world(table), perl.RULES, f"{LIB}/File/Spec.pm"))
    assert kept == [f"{LIB}/File/Spec.pm", f"{LIB}/File/Spec/Unix.pm"]


@pytest.mark.parametrize(("depends", "found"), [("libc6, libperl5.36 (>= 5.36.0)", True), ("libc6, perl", False)])
def test_a_perl_within_another_program_finds_nothing_in_perl_base(depends: str, found: bool) -> None:
    """Its @INC has no such directory: mod_perl, PL/Perl and rlm_perl load libperl."""
    base, library = "/usr/lib/x86_64-linux-gnu/perl-base", "/usr/lib/x86_64-linux-gnu/libperl.so.5.36.0"
    table: Table = {
        f"{base}/List/Util.pm": "package List::Util; 1;",
        f"{base}/auto/List/Util/Util.so": "",
        f"{LIB}/List/Util.pm": "package List::Util; 1;",
        f"{LIB}/auto/List/Util/Util.so": "",
        f"{base}/only.pm": "1;",
        f"{SHARE}/strict.pm": "1;",
        library: "",
        "/app/hook.pl": "use List::Util; use only;",
    }
    owned = {"perl-base": [path for path in table if path.startswith(base)], "server": ["/usr/sbin/server"]}
    world = debian_world({**table, "/usr/sbin/server": ""}, owned, fields={"server": {"Depends": depends}})
    kept = trees.paths(trees.closed(world, perl.RULES, "/app/hook.pl"))
    inside = [f"{LIB}/List/Util.pm", f"{LIB}/auto/List/Util/Util.so"]
    assert (set(inside) <= set(kept)) == found
    assert {f"{base}/List/Util.pm", f"{base}/auto/List/Util/Util.so", f"{base}/only.pm"} <= set(kept)
    assert f"{SHARE}/strict.pm" in trees.paths(trees.closed(world, perl.RULES, library))


PERL = (
    *("perl", "perl-base", "perl-modules-5.36", "libperl5.36", "libc6", "libcrypt1"),
    *("libbz2-1.0", "zlib1g", "libdb5.3", "libgdbm6"),
)
WEB = (
    *PERL,
    *("libplack-perl", "libmojolicious-perl", "libdevel-stacktrace-perl", "libtry-tiny-perl", "libhttp-message-perl"),
    *("liburi-perl", "libhttp-date-perl", "libencode-locale-perl", "libhash-multivalue-perl", "libtimedate-perl"),
    *("libfilesys-notify-simple-perl", "libcookie-baker-perl", "libhttp-entity-parser-perl", "libclone-perl"),
    *("libstream-buffered-perl", "libwww-form-urlencoded-perl", "libapache-logformat-compiler-perl"),
    *("libdevel-stacktrace-ashtml-perl", "libio-html-perl", "liblwp-mediatypes-perl", "libhttp-headers-fast-perl"),
    *("libposix-strftime-compiler-perl", "libhttp-multipartparser-perl"),
)

CORE = r"""
use strict; use warnings; use Encode; use List::Util 'sum'; use POSIX 'floor';
binmode STDOUT, ':encoding(UTF-8)';
open my $in, '<', \ "text in memory\n"; print <$in>;
print decode('shiftjis', "\x82\xa0"), floor(2.5), sum(1, 2), "\n";
'k=v' =~ /(?<key>\w)=/ and print "$+{key}\n";
print "\N{GREEK SMALL LETTER ALPHA} ", lc("\x{c4}"), "\n";
print "yes\n" if "\x{3b1}" =~ /\p{Greek}/; my @f = glob('/usr/bin/p*'); print "@f\n"; STDOUT->autoflush(1);
print "$!\n" if !open(my $x, '<', '/none') && $!{ENOENT};
use Time::Local; use Digest::SHA 'sha1_hex'; use JSON::PP; print sha1_hex('a'), encode_json({ a => [1] }), "\n";
"""


@pytest.mark.network
def test_real_perl_runs_from_what_is_kept(tmp_path: Path) -> None:
    world = deb_world(*PERL, extra={"/app/core.pl": CORE})
    closure = chroots.kept(world, perl.RULES, "/usr/bin/perl", "/app/core.pl")
    out = chroots.run(world, closure, tmp_path, ["/usr/bin/perl", "/app/core.pl"])
    assert out == (
        "text in memory\nあ23\nk\n\u03b1 Ä\nyes\n/usr/bin/perl\nNo such file or directory\n"
        '86f7e437faa5a7fce15d1ddcb9eaeaea377667b8{"a":[1]}\n'
    )
    assert "/usr/share/perl/5.36.0/CPAN.pm" not in closure
    assert not trees.paths(closure, "/usr/lib/x86_64-linux-gnu/perl/5.36.0/CORE")


APPS = {
    "/app/app.psgi": """
use Plack::Builder;
builder { enable 'Head'; enable 'ContentLength'; sub { [200, [], ['psgi']] } };
""",
    "/app/psgi.pl": """
use Plack::Util;
print Plack::Util::load_psgi('/app/app.psgi')->({REQUEST_METHOD => 'GET'})->[2][0]""",
    "/app/mojo.pl": """
use Mojolicious::Lite -signatures;
get '/' => sub ($c) { $c->render(template => 'i') };
app->start;
__DATA__
@@ i.html.ep
% title 'x';
<%= 20 + 1 %>""",
}


@pytest.mark.network
def test_real_frameworks_run_from_what_is_kept(tmp_path: Path) -> None:
    world = deb_world(*WEB, extra=APPS)
    closure = chroots.kept(world, perl.RULES, "/usr/bin/perl", "/usr/bin/plackup", *APPS)

    def answer(*argv: str) -> str:
        return chroots.run(world, closure, tmp_path, ["/usr/bin/perl", *argv], MOJO_LOG_LEVEL="fatal")

    assert answer("/app/psgi.pl") == "psgi"
    assert "21" in answer("/app/mojo.pl", "get", "/")
    assert "Page Not Found" in answer("/app/mojo.pl", "get", "/none")


_FRAGMENTS = st.sampled_from(
    [
        *(
            "use ",
            "require ",
            "Foo::Bar",
            "'",
            '"',
            ";",
            "\n",
            "=pod\n",
            "\n=cut",
            "{",
            "}",
            "$",
            "qw(",
            ")",
            "#",
            "lib ",
        ),
        *("__END__", "eval ", "with ", "dbi:x", "\0", "\\", "enable ", "package ", "@INC", "load_class", "::", " "),
    ]
)


@given(st.lists(_FRAGMENTS, max_size=80).map("".join) | st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_garbage_is_read_without_error(text: str) -> None:
    assert isinstance(perlparse.parse(text.encode("utf-8", "replace")), perlparse.Facts)


@pytest.mark.parametrize(
    "piece", ["use A ", "=a\n", "\n=cut", "use lib '", "with '", "A::", "require (", "eval {", '"A::', "# use\t"]
)
def test_long_input_is_read_in_time(piece: str) -> None:
    assert isinstance(perlparse.parse(piece.encode() * 20000), perlparse.Facts)
