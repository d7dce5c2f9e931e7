# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The toolbox: a Debian trixie in a directory, in which everything is built and
# run. Sourced by ./kcore, which sets kcore_src (the tree) and kcore_cache.
#
# It is keyed by a hash of what decides its contents: the package list and the
# functions that make it. It is made under another name and renamed when it is whole, so a
# toolbox that exists is complete.

toolbox_suite=trixie

toolbox_key() {
    { cat "${kcore_src:?}/scripts/toolbox.packages"; declare -f toolbox_make toolbox_unpack_sources; dpkg --print-architecture; } |
        sha256sum | cut -c1-12
}

toolbox_dir() { printf '%s/toolbox-%s' "${kcore_cache:?}" "$(toolbox_key)"; }

# toolbox_packages ARCH: the packages of the list, one a line
toolbox_packages() {
    sed -e 's/#.*//' -e '/^src:/d' "$kcore_src/scripts/toolbox.packages" |
        awk -v arch="[$1]" 'NF == 1 || $2 == arch { print $1 }'
}

# toolbox_sources: the source packages of the list, "NAME PATH" a line
toolbox_sources() {
    sed -n -e 's/#.*//' -e 's/^src://p' "$kcore_src/scripts/toolbox.packages"
}

# "mirror+file:/etc/apt/mirrors/debian.list/" (as Debian's cloud images have it)
# stands for the first address in that file.
toolbox_resolve_mirror() {
    local uri=$1 file
    case "$uri" in
        mirror+file:*)
            file=${uri#mirror+file:}
            file=/${file#"${file%%[!/]*}"}
            file=${file%/}
            uri=$(awk '/^[[:space:]]*(https?|file):/ { print $1; exit }' "$file")
            ;;
    esac
    printf '%s' "${uri%/}"
}

# toolbox_apt_mirrors: the machine's own mirrors of Debian as apt sees them, as
# "main URI" and "security URI"; at most one of each.
toolbox_apt_mirrors() {
    local uri release origin seen_main='' seen_security=''
    # shellcheck disable=SC2016 # these are apt's variables
    while IFS='|' read -r uri release origin; do
        [ "$origin" = Debian ] || continue
        uri=$(toolbox_resolve_mirror "$uri")
        case "$uri" in http:* | https:* | file:*) ;; *) continue ;; esac
        case "$release" in
            *-security | */updates) [ -n "$seen_security" ] || echo "security $uri"; seen_security=1 ;;
            *-debug | *-backports*) ;;
            *) [ -n "$seen_main" ] || echo "main $uri"; seen_main=1 ;;
        esac
    done < <(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(ORIGIN)' 'Created-By: Packages' 2>/dev/null)
}

# toolbox_apt_options: how the machine's apt reaches its mirrors (proxies,
# certificates, clock checks), as options for mmdebstrap
toolbox_apt_options() {
    apt-config dump 2>/dev/null |
        sed -n -E '/^Acquire::(https?::(Proxy|CaInfo|CaPath|Verify|SslCert|SslKey|Timeout|No-Cache|User-Agent)|https?::[^ ]*::Proxy|Check-Date|Check-Valid-Until|ForceIPv[46]|Max-FutureTime)/{/ "";$/d;p}' |
        sed 's/;$//'
}

# toolbox_need_host: what the machine itself must have: mmdebstrap
toolbox_need_host() {
    if ! command -v mmdebstrap >/dev/null; then
        echo "installing mmdebstrap"
        apt-get update -q || return
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends mmdebstrap ||
            return
    fi
}

# toolbox_unpack_sources DIR: sources that are compiled into KCore, to
# DIR/usr/src/kcore
toolbox_unpack_sources() {
    local tmp=$1 name path
    echo "unpacking sources"
    sed -n "s/^deb \(.* $toolbox_suite\(-updates\|-security\)\? \)/deb-src \1/p" "$tmp/etc/apt/sources.list" \
        >"$tmp/etc/apt/sources.list.d/source.list"
    toolbox_enter "$tmp" tar -C /usr/src/kcore --strip-components=3 -xf /usr/src/linux-source-6.12.tar.xz \
        linux-source-6.12/scripts/dtc/libfdt || return
    toolbox_sources | while read -r name path; do
        # shellcheck disable=SC2016
        toolbox_enter "$tmp" bash -ec '
            d=$(mktemp -d)
            cd "$d"
            chmod 755 .
            apt-get update -q
            apt-get source -q --tar-only --download-only -o APT::Sandbox::User=root "$1"
            mkdir -p "/usr/src/kcore/$1"
            tar -C "/usr/src/kcore/$1" --strip-components=1 --wildcards -xf "$1"_*.orig.tar.?z "*/$2"
            cd /
            rm -rf "$d"' sources "$name" "$path" </dev/null || exit
    done || return
}

# toolbox_make: makes the toolbox of this tree unless it is there. Takes the
# mirrors from KCORE_MIRROR and KCORE_SECURITY_MIRROR, or from the machine's apt.
toolbox_make() {
    local dir tmp arch arches main=${KCORE_MIRROR:-} security=${KCORE_SECURITY_MIRROR:-} found option
    local -a options=() sources=()
    dir=$(toolbox_dir)
    if [ -d "$dir" ]; then
        echo cached
        return
    fi
    toolbox_need_host || return

    found=$(toolbox_apt_mirrors)
    if [ -z "$found" ] && [ -z "$main" ]; then
        echo "apt has no lists of packages yet"
        apt-get update -q || return
        found=$(toolbox_apt_mirrors)
    fi
    main=${main:-$(sed -n 's/^main //p' <<<"$found")}
    security=${security:-$(sed -n 's/^security //p' <<<"$found")}
    if [ -z "$main" ]; then
        echo "error: this machine's apt knows no mirror of Debian (apt-get indextargets lists none with Origin: Debian)"
        echo "Give one: ./kcore --mirror URL ..., or KCORE_MIRROR=URL"
        return 3
    fi
    main=${main%/} security=${security%/}
    echo "mirror: $main"
    sources=(
        "deb $main $toolbox_suite main"
        "deb $main $toolbox_suite-updates main"
        "deb $main $toolbox_suite-backports main"
    )
    if [ -n "$security" ]; then
        echo "security updates: $security"
        sources+=("deb $security $toolbox_suite-security main")
    else
        echo "note: no mirror of the security archive in this machine's apt; the toolbox goes without its updates"
        echo "      (KCORE_SECURITY_MIRROR=URL names one)"
    fi

    arch=$(dpkg --print-architecture)
    arches=$arch
    [ "$arch" = arm64 ] || arches=$arch,arm64
    while read -r option; do
        options+=("--aptopt=$option")
    done < <(toolbox_apt_options)

    # What an interrupted run left behind is of no use.
    tmp=$dir.part
    rm -rf --one-file-system "$tmp" || return
    # Pages of section 3 differ between the architectures of a few libraries, which dpkg refuses.
    # shellcheck disable=SC2016 # $1 is for the hook's shell
    mmdebstrap --variant=apt --architectures="$arches" --skip=check/qemu \
        --aptopt='Acquire::Retries "3"' "${options[@]}" \
        --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/man/man3/*' \
        --include="$(toolbox_packages "$arch" | paste -sd,)" \
        --customize-hook='mkdir -p "$1/src" "$1/cache" "$1/usr/src/kcore"' \
        --customize-hook='ln -sf /run/resolv.conf "$1/etc/resolv.conf"' \
        "$toolbox_suite" "$tmp" "${sources[@]}" || return

    toolbox_unpack_sources "$tmp" || return
    ln -sf /run/resolv.conf "$tmp/etc/resolv.conf"
    # For the images, which are made later: see toolbox_enter.
    {
        printf 'KCORE_MIRROR=%s\nKCORE_SECURITY_MIRROR=%s\n' "$main" "$security"
        apt-config dump | sed -n -E 's/^Acquire::(https?)::Proxy "(.+)";$/\1_proxy=\2/p'
    } >"$tmp/etc/kcore-environment"
    mv -T "$tmp" "$dir" || return
    echo "done: $(du -sh "$dir" | cut -f1) in $dir"
}

# toolbox_enter DIR COMMAND...: runs COMMAND in the toolbox DIR, in a mount
# namespace of its own: the tree at /src, the cache at /cache.
toolbox_enter() {
    local dir=$1
    shift
    # Later settings win: the machine's, then the caller's.
    local name
    local -a environment=(
        KCORE_BIN=/cache/build/hyp/hyp/kcore.bin
        KCORE_KERNEL=/cache/kserv/current/Image
        KCORE_HOST_IMAGE=/cache/host-image
        KCORE_GUEST_IMAGE=/cache/guest-image
        KCORE_OVERLAY=/cache/build/userland-root:/cache/kserv/current/modules
    )
    [ ! -e "$dir/etc/kcore-environment" ] || mapfile -t -O ${#environment[@]} environment <"$dir/etc/kcore-environment"
    for name in KCORE_MIRROR KCORE_SECURITY_MIRROR http_proxy https_proxy no_proxy NO_COLOR; do
        [ -z "${!name:-}" ] || environment+=("$name=${!name}")
    done
    [ -d "$kcore_cache/tmp" ] || { mkdir -p "$kcore_cache/tmp" && chmod 1777 "$kcore_cache/tmp"; }
    # shellcheck disable=SC2016
    unshare --mount --propagation private "${toolbox_unshare[@]}" bash -ec '
        dir=$1 src=$2 cache=$3
        shift 3
        mount --bind "$dir" "$dir"
        mkdir -p "$dir/src" "$dir/cache"
        mount --bind "$src" "$dir/src"
        mount --bind "$cache" "$dir/cache"
        mount --bind "$cache/tmp" "$dir/tmp"
        mount -t proc proc "$dir/proc" 2>/dev/null || mount --rbind /proc "$dir/proc"
        mount --rbind /dev "$dir/dev"
        mount --rbind /sys "$dir/sys" || true
        mount -t tmpfs -o mode=755 tmpfs "$dir/run"
        cat /etc/resolv.conf >"$dir/run/resolv.conf" 2>/dev/null || true
        exec chroot "$dir" /usr/bin/env -i "HOME=/root" "TERM=${TERM:-dumb}" LANG=C.UTF-8 \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
            KCORE_SRC=/src KCORE_CACHE=/cache XDG_CACHE_HOME=/cache/home CCACHE_DIR=/cache/ccache \
            PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
            "$@"
    ' toolbox "$dir" "$kcore_src" "$kcore_cache" "${environment[@]}" \
        bash -c 'cd /src && exec "$@"' toolbox "$@"
}

toolbox_unshare=()

# Runs COMMAND in the toolbox of this tree.
in_toolbox() { toolbox_enter "$(toolbox_dir)" "$@"; }

# The same, and whatever COMMAND starts ends with it.
in_toolbox_alone() {
    local toolbox_unshare=(--pid --fork --kill-child)
    in_toolbox "$@"
}
