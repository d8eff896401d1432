"""Java and what else runs on its virtual machine."""

from __future__ import annotations

from debloat.rules.language import TEXT, Calls, CommandLines, Language, Leftovers, Runtime, calls

LANGUAGE = Language(
    "Java",
    # Beside programs, what a server compiles when it is asked for it.
    suffixes=(".jsp", ".jspx", ".jspf", ".tag", ".java", ".groovy", ".gsp", ".kts", ".bsh"),
    interpreters="java|groovy",
    command_lines=CommandLines(
        # java.lang.ProcessBuilder and Runtime.exec; Groovy's "line".execute().
        (b"ProcessBuilder", b"exec(", b".execute("),
        (
            calls("ProcessBuilder", "ProcessBuilder", r"(?:List\.of|Arrays\.asList|listOf)\(|"),
            Calls(("exec(",), rf"\.exec\([ \t]*(?:new[ \t]+String[ \t]*\[[ \t]*\][ \t]*\{{[ \t]*)?{TEXT}"),
            Calls((".execute(",), rf"{TEXT}\.execute\("),
        ),
    ),
    runtimes=(
        Runtime("Java", "lib", ("modules", "rt.jar"), (("release", "jre/lib/rt.jar"), ("bin/java",)), ("**",)),
        Runtime("Java", "jre/lib", ("rt.jar",), (("bin/java", "jre/bin/java"),), ("**",)),
    ),
    leftovers=Leftovers(
        caches=(".gradle", ".m2", ".ivy2", ".sbt"),
        globs=(("/usr/lib/jvm/**/classes*.jsa", "a cache that a trigger makes"),),
    ),
    rules=("rules",),
)
