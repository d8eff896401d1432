"""Login services keep what somebody who logs in needs; nothing else does."""

from __future__ import annotations

import pytest

from debloat.core.model import Level
from debloat.rules.system import accounts
from tests.support.trees import Table, closed, paths, rules_for, world

PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/bin/oddsh\njoe:x:1000:1000::/home/joe:/bin/zsh\n"
    "svc:x:1001:1001::/:/usr/sbin/nologin\nbroken\nbad:x:y:z::/:/bin/oddsh\n"
)
TREE: Table = {
    "/etc/passwd": PASSWD,
    "/etc/shells": "",
    **dict.fromkeys(
        [f"/bin/{n}" for n in ("bash", "zsh", "oddsh", "ls")]
        + ["/usr/sbin/sshd", "/usr/bin/su", "/usr/bin/rsync", "/usr/bin/other", "/usr/sbin/nologin"],
        ("0755", ""),
    ),
    "/usr/share/rsync/data": "",
}
OWNED = {"coreutils": ["/bin/ls"], "rsync": ["/usr/bin/rsync", "/usr/share/rsync/data"], "other": ["/usr/bin/other"]}
HISTORY = ("/bin/sh -c apt-get update && apt-get install -y rsync",)


def kept(seed: str, level: Level = Level.SAFE) -> list[str]:
    there = world(TREE, owned=OWNED, history=HISTORY, level=level)
    return [p for p in paths(closed(there, accounts.RULES, seed)) if p != seed]


def test_a_login_service_keeps_shells_of_people_and_their_tools() -> None:
    assert kept("/usr/sbin/sshd") == [
        "/bin/bash",
        "/bin/ls",
        "/bin/zsh",
        "/etc/shells",
        "/usr/bin/rsync",
        "/usr/bin/su",
    ]


def test_su_keeps_the_shells_alone() -> None:
    assert kept("/usr/bin/su") == ["/bin/bash", "/bin/zsh", "/etc/shells"]


FILES: Table = {
    **TREE,
    "/etc/profile": "",
    "/etc/profile.d/a.sh": "",
    "/etc/bash.bashrc": "",
    "/root/.profile": "",
    "/home/joe/.bashrc": "",
    "/home/joe/.bash_history": "",
    "/home/joe/.ssh/authorized_keys": "",
    "/home/joe/.cache/x": "",
    **dict.fromkeys(
        ("/usr/bin/passwd", "/usr/bin/locale", "/usr/bin/iconv", "/usr/sbin/locale-gen", "/usr/bin/rpc"), ("0755", "")
    ),
}


def test_a_login_reads_its_start_up_files() -> None:
    owned = {**OWNED, "locales": ["/usr/sbin/locale-gen"], "rsync": ["/usr/bin/rsync", "/usr/bin/rpc"]}
    history = ("/bin/sh -c apt-get update && apt-get install -y rsync locales",)
    there = world(FILES, owned=owned, history=history)
    found = set(paths(closed(there, accounts.RULES, "/usr/sbin/sshd")))
    start_up = {"/etc/profile", "/etc/profile.d/a.sh", "/etc/bash.bashrc", "/root/.profile", "/home/joe/.bashrc"}
    assert start_up | {"/home/joe/.ssh/authorized_keys"} <= found
    assert {"/usr/bin/passwd", "/usr/bin/locale", "/usr/bin/rpc"} <= found
    # Not history and caches; not what every encoding follows; not what was there to build the image.
    assert found.isdisjoint({"/home/joe/.bash_history", "/home/joe/.cache/x", "/usr/bin/iconv", "/usr/sbin/locale-gen"})


def test_a_program_that_starts_a_shell_for_a_job_reads_none() -> None:
    found = paths(closed(world(FILES), accounts.RULES, "/usr/bin/rsync"))
    assert found == ["/usr/bin/rsync"]


@pytest.mark.parametrize("seed", ["/usr/bin/other", "/usr/bin/rsync"])
def test_other_programs_keep_no_shell(seed: str) -> None:
    assert kept(seed) == []


def test_not_at_exact() -> None:
    assert kept("/usr/sbin/sshd", Level.EXACT) == []


def test_the_evidence_names_the_account() -> None:
    found = closed(world(TREE, owned=OWNED), accounts.RULES, "/usr/bin/su")
    assert list(rules_for(found, "/bin/zsh")) == ["accounts.shell"]
    assert found.evidence["/bin/zsh"][0].detail == "shell of joe"
