#!/bin/sh
# pathspec 1.1.1: a pattern with a range that runs backwards, such as [z-a], is valid to git, which has it match its first
# character alone and goes on with the other lines. pathspec raises re.error for the whole list, not its own GitIgnorePatternError (a ValueError)
# with which it rejects what it knows to be wrong, such as a lone `!`: who suppresses that one is ended by the other.
# Seen with git 2.39.5.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pathspec==1.1.1
git init --quiet "$work/tree"
printf '[z-a]\n*.log\n' >"$work/tree/.gitignore"
ignored=$(cd "$work/tree" && printf '%s\n' a m z b.log | git check-ignore --stdin | tr '\n' ' ')
echo "git ignores: $ignored"
cat >"$work/match.py" <<'PY'
import pathspec

for lines in (["!"], ["[z-a]", "*.log"]):
    try:
        spec = pathspec.GitIgnoreSpec.from_lines(lines)
        print(lines, "matches", [n for n in ("a", "z", "b.log") if spec.match_file(n)])
    except Exception as error:
        print(lines, type(error).__module__, type(error).__name__, isinstance(error, ValueError))
PY
"$work/venv/bin/python" "$work/match.py" | tee "$work/said"
[ "$ignored" = "z b.log " ] && grep -qE "^\['!'\] pathspec.* GitIgnorePatternError True$" "$work/said" &&
    grep -qE "^\['\[z-a\]', '\*\.log'\] re (error|PatternError) False$" "$work/said"
