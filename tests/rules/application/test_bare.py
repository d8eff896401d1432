"""A bare interpreter as the command keeps its standard library whole."""

from __future__ import annotations

import pytest

from debloat.rules.application.bare import RULES
from tests.support import trees

ELF = ("0755", "\x7fELF")
TABLE: trees.Table = {
    **{f"/usr/bin/{name}": ELF for name in ("perl", "python3", "ruby", "tini", "sh", "irb", "rsync")},
    "/usr/share/perl/5.36/perl5db.pl": "x",
    "/usr/share/perl/5.36/pod/perlfunc.pod": "x",
    "/usr/lib/python3.11/pydoc_data/topics.py": "x",
    "/usr/lib/python3.11/test/test_os.py": "x",
    "/usr/lib/ruby/gems/3.1.0/gems/debug-1/lib/debug.rb": "x",
}
PERL, PYTHON = ["/usr/share/perl/5.36/perl5db.pl"], ["/usr/lib/python3.11/pydoc_data/topics.py"]


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "kept"),
    [
        ([], ["perl", "-v"], PERL),
        (["perl"], [], PERL),
        (["tini", "--", "/usr/bin/perl"], [], PERL),
        ([], ["python3"], PYTHON),
        (["python3"], ["/srv/app.py"], PYTHON),
        ([], ["ruby"], ["/usr/bin/irb", "/usr/lib/ruby/gems/3.1.0/gems/debug-1/lib/debug.rb"]),
        ([], ["perl", "/srv/app.pl"], []),
        ([], ["python3", "-m", "http.server"], []),
        ([], ["perl", "-e", "print 1"], []),
        ([], ["sh"], []),
        ([], ["rsync"], []),
        ([], ["python3.12"], []),
        ([], [], []),
    ],
)
def test_bare(entrypoint: list[str], cmd: list[str], kept: list[str]) -> None:
    world = trees.world(TABLE, config={"Entrypoint": entrypoint, "Cmd": cmd})
    assert [path for path in trees.paths(trees.closed(world, RULES)) if path in TABLE] == kept
