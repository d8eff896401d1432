"""Small programs for images on the base, which has Perl and a shell."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

SERVER = r"""#!/usr/bin/perl
# A web server whose reading of files shows what it was asked: server [KEY VALUE]...
use strict; use warnings; use IO::Socket::INET;
$| = 1;
my %set = (port => 80, late => 0, term => 'exit', mode => 'http', lines => 0, @ARGV);
my $again = sub { $SIG{TERM} = 'DEFAULT'; kill TERM => $$ };
my %on = (exit => sub { exit 0 }, ignore => 'IGNORE', catch => sub { }, none => 'DEFAULT', again => $again);
$SIG{TERM} = $on{$set{term}};
print "line $_ of a program that has much to say\n" for 1 .. $set{lines};
select(undef, undef, undef, $set{late} / 1000);
my $socket = IO::Socket::INET->new(LocalPort => $set{port}, Listen => 64, ReuseAddr => 1) or die "cannot listen: $!";
sub file { open(my $in, '<', "/srv/$_[0]") or return "no $_[0]\n"; local $/; return scalar <$in> }
my $busy = 2;
while (1) {
    my $client = $socket->accept or next;
    my ($request, %head) = (scalar <$client> // '');
    if ($set{mode} eq 'raw') { print $client "what?\n"; close $client; next }
    while (defined(my $line = <$client>)) {
        last if $line =~ /^\r?\n$/;
        $head{lc $1} = $2 if $line =~ /^([^:]+):\s*(.*?)\r?$/;
    }
    my ($method, $path) = split ' ', $request;
    next unless defined $path;
    my ($status, $more) = $path eq '/error' ? ('500 Broken', '') : $path eq '/missing' ? ('404 Not Found', '')
        : $path eq '/redirect' ? ('302 Found', "Location: /there\r\n")
        : $path eq '/busy' && $busy-- > 0 ? ('503 Not yet', '') : ('200 OK', '');
    my $asked = lc($method) . (defined $head{'accept-encoding'} ? '-encoded' : '-plain');
    my $body = file($asked) . file('page' . ($path =~ tr{/}{_}r));
    print $client "HTTP/1.1 $status\r\nContent-Type: text/plain\r\n${more}Connection: close\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
    close $client;
}
"""

PAGES = {
    f"srv/{name}": f"the file {name}\n"
    for method in ("get", "post", "head")
    for name in (f"{method}-plain", f"{method}-encoded")
} | {
    f"srv/page_{name}": f"the page {name}\n" for name in ("", "other", "error", "missing", "redirect", "busy", "there")
}

WEB_FILES: dict[str, str | bytes] = {"server!": SERVER, **PAGES}
WEB = """COPY server /usr/local/bin/
COPY srv /srv
EXPOSE 80
ENTRYPOINT ["server"]
"""
"""The end of a Dockerfile for a web server with `WEB_FILES`."""

STATIC = r"""
#include <stdio.h>
int main(int argc, char **argv) {
    char line[80];
    FILE *file = fopen(argc > 1 ? argv[1] : "/greeting", "r");
    if (!file || !fgets(line, sizeof line, file)) { perror("greeting"); return 1; }
    fputs(line, stdout);
    return 0;
}
"""

OWN_LISTENER = r"""
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
/* A program that supervises itself by seccomp user notification: there can be one listener only. */
int main(void) {
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &allow};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) < 0) {
        perror("seccomp");
        return 1;
    }
    char line[80];
    FILE *file = fopen("/greeting", "r");
    if (!file || !fgets(line, sizeof line, file)) { perror("greeting"); return 1; }
    fputs(line, stdout);
    return 0;
}
"""


def static(source: str, directory: Path) -> bytes:
    """A static program of a C source."""
    out = directory / "static"
    subprocess.run(["cc", "-O1", "-static", "-x", "c", "-", "-o", out], input=source.encode(), check=True)
    return out.read_bytes()


def image_archive(name: str, architecture: str, layer: bytes, config: Mapping[str, object]) -> bytes:
    """An archive for `docker load` of an image with one layer."""
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    document = {
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    members = {
        b"config.json": json.dumps(document).encode(),
        b"manifest.json": json.dumps(manifest).encode(),
        b"layer.tar": layer,
    }
    return tar({name: (0o644, content) for name, content in members.items()})


def tar(files: Mapping[bytes, tuple[int, bytes]]) -> bytes:
    """A tar of files by name: mode and content; names are bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        for name, (mode, content) in files.items():
            info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
            info.mode, info.size, info.mtime = mode, len(content), 10**9
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()
