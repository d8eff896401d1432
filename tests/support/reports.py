"""Finished reports for the tests of renderers: a plain one, and those whose every name is hostile."""

from __future__ import annotations

from msgspec.structs import replace

from debloat.core.model import Want
from debloat.core.probes import ProbeResult
from debloat.core.progress import Stage
from debloat.core.surfaces import NO_SURFACES, Surface, Surfaces
from debloat.debian.prune import PackageShare
from debloat.footprint import Footprint
from debloat.profile.prove import Profiled
from debloat.profile.seccomp import Profile
from debloat.result import Report, RuleShare
from debloat.verify import Comparison

EVIL = "/srv/\x1b[2J\x1b]0;x\x07[bold]\"'><script>alert(1)</script></style><!--\r\n&amp;\udcff\u202e\x9b\x00\u2028-x"
"""A name with terminal escapes, console and HTML markup, line ends, a byte that is no UTF-8, and a turned direction."""

OK = ProbeResult("http GET http://:80/", True, 200)

PLAIN = Report(
    tool="debloat 0.1.0",
    reference="shop:1",
    image_id="sha256:" + "1" * 64,
    level="safe",
    result="shop:1-slim",
    result_id="sha256:" + "2" * 64,
    layer="sha256:" + "3" * 64,
    before=Footprint(88_400_000, 4014, 105, ("/usr/bin/su",), ("/usr/bin/bash", "/usr/bin/sh"), ("/usr/bin/apt",), ()),
    after=Footprint(11_700_000, 747, 2, (), ("/usr/bin/sh",), (), ()),
    packages=(
        PackageShare("apt", "2.6.2", "apt", 0, 45, 0, 1_903_925, "gone"),
        PackageShare("libc6", "2.36-9", "glibc", 20, 300, 4_000_000, 12_000_000, "partly"),
        PackageShare("nginx", "1.22", "nginx", 10, 10, 1_000_000, 1_000_000, "kept"),
    ),
    rules=(RuleShare("elf.needed", 3, 7), RuleShare("trace", 20, 31)),
    answers=(
        Comparison("default", OK, OK),
        Comparison("default", ProbeResult("stop", True), ProbeResult("stop", True)),
    ),
    healed=(),
    mechanisms=("notify",),
    verified=True,
    notes=(),
    stages=(Stage("record", 1.25), Stage("close and carve", 2.5), Stage("load", 0.2), Stage("verify", 1.0)),
    surface=Surfaces(
        Surface(734, 38_300_000, (), ("/usr/bin/perl",), ("/usr/bin/curl",)),
        Surface(31, 4_100_000, (), (), ()),
    ),
)
"""A run as most are."""

PROFILED = replace(PLAIN, seccomp=Profiled(Profile("{}", ("close", "read", "write"), 309), (), "shop.json"))
"""A run that made a seccomp profile."""

BROKEN = ProbeResult(OK.name, False, 500, detail="status 500: no template\nsecond line")
DIFFERING = replace(
    PLAIN,
    result="",
    answers=(Comparison("default", OK, BROKEN, OK.differs(BROKEN)), *PLAIN.answers[1:]),
)
"""A run whose minimal image answers differently."""

HOSTILE = replace(
    PLAIN,
    tool=EVIL,
    reference=EVIL,
    image_id=EVIL,
    result=EVIL,
    result_id=EVIL,
    layer=EVIL,
    before=replace(PLAIN.before, setuid=(EVIL,), shells=(EVIL, EVIL + "2"), world_writable=(EVIL,)),
    after=replace(PLAIN.after, setuid=(EVIL,), shells=(), package_managers=(EVIL,)),
    packages=tuple(replace(p, name=EVIL, version=EVIL, source=EVIL) for p in PLAIN.packages),
    rules=(RuleShare(EVIL, 1, 2),),
    answers=(
        Comparison(EVIL, replace(OK, name=EVIL), replace(BROKEN, name=EVIL, detail=EVIL), EVIL),
        Comparison(EVIL + "2", replace(OK, name=EVIL, detail=EVIL, text=EVIL), replace(OK, name=EVIL), "", EVIL),
        Comparison(EVIL + "3", replace(OK, name=EVIL), replace(OK, name=EVIL)),
    ),
    healed=(Want(EVIL, "healed", EVIL, EVIL, follow=False),),
    mechanisms=(EVIL,),
    notes=(EVIL,),
    stages=(Stage(EVIL, 1.0),),
    seccomp=Profiled(Profile(EVIL, (EVIL,), 1), (Comparison(EVIL, replace(OK, name=EVIL), BROKEN, EVIL),), EVIL),
    surface=Surfaces(Surface(1, 1, (EVIL,), (EVIL,), (EVIL,), (EVIL,)), Surface(1, 1, (EVIL,), (), (), (EVIL,))),
)
"""A run in which every text is hostile."""

EMPTY = replace(
    PLAIN,
    before=Footprint(0, 0, 0, (), (), (), ()),
    after=Footprint(0, 0, 0, (), (), (), ()),
    packages=(),
    rules=(),
    answers=(),
    mechanisms=(),
    verified=False,
    stages=(),
    surface=NO_SURFACES,
)
"""A run on an image of nothing, without proof."""

REPORTS = {"plain": PLAIN, "differing": DIFFERING, "hostile": HOSTILE, "empty": EMPTY, "profiled": PROFILED}
