"""What every list of the rules says in a process with more languages: `python -m tests.support.toylists DIRECTORY`.

The packages and modules in the directory are added to the registry's path before any list is made; the answers are
printed as JSON. The image is made for the toy language of `tests/rules/test_language.py`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from debloat.rules import languages

IMAGE = {
    "/opt/w/bin/whistle": ("0755", "\x7fELF"),
    "/opt/w/lib/whistle/7/reed.wsl": "",
    "/opt/w/lib/own.conf": "",
    **{f"/usr/bin/{name}": ("0755", "\x7fELF") for name in ("sox", "flac", "play")},
    "/usr/share/tune": "",
    "/usr/lib/whistle/a-1.wpk": "",
    "/usr/local/bin/tune": ("0755", "\x7fELF"),
    "/app/song.wsl": "blow('sox -n out.wav') <<play a>>",
    "/app/song.wst": "blow('flac')",
    "/app/script": ("0755", "#!/usr/bin/whistle\nblow('flac')"),
    "/app/whistle_parts/x/main.wsl": "",
    **{f"/app/home/{name}/x": "" for name in ("tunes", "scores", "drafts", "other")},
    **{f"/app/__notes__/{name}.wn": "" for name in ("song", "gone")},
    **dict.fromkeys(("/app/.wcache/x", "/app/.wkey", "/app/wtmp"), ""),
    **dict.fromkeys(("/app/made/Whistlefile", "/app/made/a.wo", "/app/a.wo"), ""),
    **dict.fromkeys(("/app/a-1.wpk", "/app/b-1.wpk"), ""),
}
OWNED = {"sound": [path for path in IMAGE if path.startswith("/usr/") and "/local/" not in path]}


def answers() -> dict[str, Any]:
    from debloat import footprint
    from debloat.rules import all_rules, programs, subprocesses
    from debloat.rules.application import leftovers, survey
    from debloat.rules.application.modules import asked_modules
    from debloat.rules.application.runtimes import runtimes
    from debloat.rules.knowledge import plugins, tools
    from debloat.rules.languages.compiled.rules import SOURCES
    from debloat.rules.languages.perl.rules import SCRIPTS
    from debloat.rules.languages.shell.rules import DEPENDENCIES
    from debloat.rules.recorded.trace import IMPORTING, MODULE_PATH
    from debloat.rules.system import configfiles
    from tests.support import trees

    world = trees.world(IMAGE, owned=OWNED, history=("COPY app /app # buildkit",))

    def programs_of(path: str) -> list[str]:
        return trees.paths(trees.closed(world, subprocesses.RULES, path), "/usr/bin")

    return {
        "names": [language.name for language in languages.known()],
        "rules": [rule.name for rule in all_rules()],
        "runtimes": [(runtime.name, runtime.prefix) for runtime in runtimes(world)],
        "application": sorted(survey.application(world)),
        "leftovers": dict(survey.survey(world).leftovers),
        "programs": {path: programs_of(path) for path in ("/app/song.wsl", "/app/song.wst", "/app/script")},
        "asked for": [asked.request.package for asked in asked_modules(world)],
        "stores": [
            bool(plugins.STORES.fullmatch(path))
            for path in ("/usr/lib/whistle/7", "/x/whistle_parts/y", "/x/borrowed_tunes")
        ],
        "third party": [bool(DEPENDENCIES.search(f"/x/{name}/y.sh")) for name in ("whistle_parts", "borrowed_tunes")],
        "imported": [
            bool(plugins.IMPORTED.fullmatch("a.wlib")),
            bool(MODULE_PATH.search("/x/lib/whistle")),
            bool(IMPORTING.search("/bin/whistle")),
        ],
        "interpreters": [word.decode() for word in tools.OTHER_LANGUAGES.findall(b"x=1; whistle a")],
        "package manager": "wpm" in footprint.PACKAGE_MANAGERS,
        "build program": "wcc" in programs.BUILD_TIME,
        "configuration": ".wsc" in configfiles.SUFFIXES,
        "scripts": [suffix in SCRIPTS for suffix in (".wsl", ".hum")],
        "source": [bool(SOURCES.fullmatch(f"/build/a{suffix}")) for suffix in (".wsl", ".hum")],
        "places": [
            leftovers.PLACES.get("/opt/whistle/echo"),
            leftovers.glob_reason("/usr/lib/a.wnote"),
            "/usr/local/whistle" in leftovers.SKELETON,
        ],
    }


if __name__ == "__main__":
    languages.__path__.append(sys.argv[1])
    json.dump(answers(), sys.stdout)
