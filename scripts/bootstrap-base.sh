#!/bin/sh
# Make the images debian:SUITE-slim where no registry can be reached.
#
# Usage: scripts/bootstrap-base.sh [--force] [SUITE...]     (default: trixie)
#        scripts/bootstrap-base.sh --tar FILE SUITE          its files alone, and no engine is needed
#
# SUITE is bullseye, bookworm, trixie or sid. Does nothing for an image that the engine has. Else it pulls it, and when
# the pull fails it builds the same thing from Debian's archive: minbase, the files that the slim variant leaves out,
# and the apt and dpkg configuration of the official image. /usr is merged, but not in bullseye, as in the official one.
#
#   DEBLOAT_MIRROR           Debian archive     (default: the ones mmdebstrap takes, security updates included)
#   DEBLOAT_PULL_TIMEOUT     seconds for a pull, 0 to build at once (default 60)
set -eu

MIRROR=${DEBLOAT_MIRROR:-}
PULL_TIMEOUT=${DEBLOAT_PULL_TIMEOUT:-60}

say() { printf 'bootstrap-base: %s\n' "$1" >&2; }
fail() {
    say "$1"
    [ $# -lt 2 ] || say "hint: $2"
    exit 1
}

force=no
tar=
suites=
if [ "${1:-}" = --tar ]; then
    [ $# -eq 3 ] || fail "--tar takes a file and a suite" "usage: scripts/bootstrap-base.sh --tar FILE SUITE"
    tar=$2
    shift 2
fi
for word in "$@"; do
    case $word in
        --force) force=yes ;;
        bullseye | bookworm | trixie | sid) suites="$suites $word" ;;
        *) fail "unknown argument $word" "usage: scripts/bootstrap-base.sh [--force] [bullseye|bookworm|trixie|sid]..." ;;
    esac
done

if [ -z "$tar" ]; then
    command -v docker >/dev/null 2>&1 || fail "cannot find docker" "install the docker.io package"
    docker version >/dev/null 2>&1 || fail "cannot reach the Docker engine" "start it, or set DOCKER_HOST"
fi

# Those that are missing and cannot be pulled; where one pull fails, the next would wait in vain as well.
missing=${tar:+$suites}
for suite in $([ -n "$tar" ] || echo "${suites:-trixie}"); do
    image=debian:$suite-slim
    if [ $force = no ]; then
        ! docker image inspect "$image" >/dev/null 2>&1 || continue
        if [ -z "$missing" ] && [ "$PULL_TIMEOUT" -gt 0 ] &&
            timeout "$PULL_TIMEOUT" docker pull -q "$image" >/dev/null 2>&1; then
            say "pulled $image"
            continue
        fi
    fi
    missing="$missing $suite"
done
[ -n "$missing" ] || exit 0

if ! command -v mmdebstrap >/dev/null 2>&1 || [ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ]; then
    [ "$(id -u)" -eq 0 ] || fail "cannot pull the images of$missing, and mmdebstrap is missing" \
        "run as root: apt-get install mmdebstrap debian-archive-keyring"
    command -v apt-get >/dev/null 2>&1 ||
        fail "cannot pull the images of$missing, and there is no apt-get to install mmdebstrap with"
    say "installing mmdebstrap"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends mmdebstrap debian-archive-keyring; } >/dev/null ||
        fail "cannot install mmdebstrap"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
etc=$work/etc
mkdir -p "$etc/apt/apt.conf.d" "$etc/dpkg/dpkg.cfg.d"

# What the slim variant leaves out, now and in every later apt-get install.
cat >"$etc/dpkg/dpkg.cfg.d/docker" <<'CFG'
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/groff/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/linda/*
path-exclude=/usr/share/lintian/overrides/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
path-include=/usr/share/doc/*/copyright
path-include=/usr/share/doc/kde/HTML/C/*
path-include=/usr/share/gnome/help/*/C/*
path-include=/usr/share/locale/all_languages
path-include=/usr/share/locale/currency/*
path-include=/usr/share/locale/l10n/*
path-include=/usr/share/locale/languages
path-include=/usr/share/locale/locale.alias
path-include=/usr/share/omf/*/*-C.emf
CFG
cat >"$etc/dpkg/dpkg.cfg.d/docker-apt-speedup" <<'CFG'
# An image build that loses power starts again: there is nothing to sync for.
force-unsafe-io
CFG
cat >"$etc/apt/apt.conf.d/docker-clean" <<'CFG'
# Packages and caches would only grow the layer of the RUN that fetched them.
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
CFG
cat >"$etc/apt/apt.conf.d/docker-gzip-indexes" <<'CFG'
Acquire::GzipIndexes "true";
CFG
cat >"$etc/apt/apt.conf.d/docker-no-languages" <<'CFG'
Acquire::Languages "none";
CFG
cat >"$etc/apt/apt.conf.d/docker-autoremove-suggests" <<'CFG'
Apt::AutoRemove::SuggestsImportant "false";
CFG
mkdir -p "$work/late/usr/sbin"
printf '#!/bin/sh\n# No service is started while an image is built.\nexit 101\n' >"$work/late/usr/sbin/policy-rc.d"

# mktemp -d is 0700 and the umask may be anything; the image gets plain modes.
find "$etc" -type f -exec chmod 0644 {} +
chmod 0755 "$work" "$work/late/usr/sbin/policy-rc.d"

# Read by mmdebstrap's own unpacking, which does not use dpkg; the same file then lands in the image.
excludes=$etc/dpkg/dpkg.cfg.d/docker

make_base() {
    say "building $image from Debian's archive"
    set --
    case $suite in
        # The official image of Debian 11 has /bin, /sbin and /lib beside /usr, and no package that says otherwise.
        bullseye) ;;
        *) set -- --include=usr-is-merged --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr ;;
    esac
    # The list of packages of a suite that never ends is valid for a week, and mirrors may be behind.
    [ "$suite" != sid ] || set -- "$@" --aptopt='Acquire::Check-Valid-Until "false"'
    # The hook variables below are expanded by the shell that mmdebstrap starts.
    # shellcheck disable=SC2016
    mmdebstrap --quiet --variant=minbase "$@" \
        --dpkgopt="$excludes" \
        --aptopt='Acquire::Languages "none"' \
        --customize-hook='rm -f "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$1/etc/apt/apt.conf.d/99mmdebstrap"' \
        --customize-hook="cp -R '$etc/.' \"\$1/etc/\"" \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/log/apt "$1"/var/log/dpkg.log "$1"/var/log/alternatives.log "$1"/var/log/bootstrap.log "$1"/var/cache/ldconfig/aux-cache "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old "$1/etc/resolv.conf" "$1/etc/hostname"' \
        --customize-hook='mkdir -p "$1/var/lib/apt/lists/partial" && : >"$1/etc/machine-id"' \
        "$suite" "$work/base.tar" ${MIRROR:+"$MIRROR"} \
        2>"$work/log" || {
        tail -n 15 "$work/log" >&2
        fail "cannot build $image with mmdebstrap: see the lines above" "is Debian's archive reachable? DEBLOAT_MIRROR names another"
    }

    # mmdebstrap has a policy-rc.d of its own and takes it away last, so this one is added after it.
    tar --append -f "$work/base.tar" --owner=0 --group=0 -C "$work/late" ./usr/sbin/policy-rc.d

    if [ -n "$tar" ]; then
        mv "$work/base.tar" "$tar" || fail "cannot write $tar"
        return
    fi
    docker import -c 'CMD ["bash"]' "$work/base.tar" "$image" >/dev/null || fail "cannot import $image into the engine"
    rm "$work/base.tar"
    say "built $image, $(docker image inspect -f '{{.Size}}' "$image") bytes"
}

for suite in $missing; do
    image=debian:$suite-slim
    make_base
done
