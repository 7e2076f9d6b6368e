#!/usr/bin/env bash
# Install what the rigs of the tests need from the system's packages: real servers, real tools. Idempotent: what is there is left alone.
# Each part is a function; one that cannot be installed says so, this script still ends well, and the tests that need it skip themselves
# with the reason. No service is started: the rigs run their own servers.
#
#   tests/rig/setup.sh           # every part
#   tests/rig/setup.sh sshd      # some parts
set -euo pipefail

here="${BASH_SOURCE[0]%/*}"
[ "$here" != "${BASH_SOURCE[0]}" ] || here=.
parts=(sshd namespaces adbd browser axe web arm64)

# part_NAME: succeeds where the part is there; otherwise it calls `packages` with what brings it.
part_sshd() { # a device over ssh: a private sshd with its keys
  { [ -x /usr/sbin/sshd ] || command -v sshd; } && command -v ssh-keygen && command -v ssh-agent || packages openssh-server openssh-client
}

part_namespaces() { # a cable that can be cut: two network namespaces and a pair of interfaces
  command -v ip || packages iproute2
}

part_adbd() { # a device over adb: Debian 13's adbd and adb with their libraries, unpacked into a cache (tests/rig/adbd.py)
  local cache="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/hwnas/rig" mark=usr/lib/android-sdk/platform-tools/adbd
  [ -x "$cache/adbd-trixie/$mark" ] && return 0
  command -v mmdebstrap || packages mmdebstrap debian-archive-keyring iproute2 || return 1
  mkdir -p "$cache" && rm -rf "$cache/adbd-trixie.part"
  mmdebstrap --quiet --variant=extract --include=adbd,adb --keyring=/usr/share/keyrings trixie "$cache/adbd-trixie.part" &&
    [ -x "$cache/adbd-trixie.part/$mark" ] && mv "$cache/adbd-trixie.part" "$cache/adbd-trixie" ||
    { why="mmdebstrap could not unpack adbd and adb of Debian 13"; return 1; }
}

part_browser() { # the page agent: chromium, node for its modules, npm for its runtime
  { command -v chromium && command -v node && command -v npm; } || packages chromium nodejs npm
}

part_axe() { # axe-core in the cache, which looks for what shuts people out of a page (tests/rig/axe.py)
  local cache="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/hwnas/rig" version=4.14.1
  [ -s "$cache/axe-$version.js" ] && return 0
  command -v npm || packages nodejs npm || return 1
  local work found
  work="$(mktemp -d)" && found="$cache/axe-$version.js"
  mkdir -p "$cache"
  (cd "$work" && npm pack --silent "axe-core@$version" >/dev/null 2>&1 && tar -xzf "axe-core-$version.tgz" package/axe.min.js) &&
    mv "$work/package/axe.min.js" "$found" || why="npm could not fetch axe-core@$version"
  rm -rf "$work"
  [ -z "$why" ]
}

part_web() { # onnxruntime-web in the cache, for the page agent; after 'make setup'
  local python="${HWNAS_PYTHON:-$here/../../.venv/bin/python}"
  [ -x "$python" ] || { why="no $python; run 'make setup' first, then this again"; return 1; }
  "$python" -c 'from hwnas.profiler.webruntime import web_files; web_files()' 2>/dev/null && return 0
  why="$("$python" -m hwnas agent fetch-web 2>&1)" && why=""
  [ -z "$why" ]
}

part_arm64() { # a 64-bit Arm board: qemu-user behind binfmt_misc, and what makes a Debian root of that architecture
  { command -v mmdebstrap && command -v update-binfmts && command -v qemu-aarch64-static; } ||
    packages mmdebstrap binfmt-support qemu-user-static || return 1
  local misc=/proc/sys/fs/binfmt_misc
  [ -e "$misc/register" ] || mount -t binfmt_misc binfmt_misc "$misc" 2>/dev/null || { why="binfmt_misc cannot be mounted here"; return 1; }
  [ -e "$misc/qemu-aarch64" ] || update-binfmts --enable qemu-aarch64 >/dev/null || { why="qemu-aarch64 cannot be registered here"; return 1; }
}

# While this file is there, Debian's packages start no service.
policy=/usr/sbin/policy-rc.d
made=""
unmake() {
  [ -z "$made" ] || rm -f "$made"
  made=""
}
trap unmake EXIT

# Install packages, without their services.
packages() {
  command -v apt-get >/dev/null || { why="no apt-get here to install $* with"; return 1; }
  [ "$(id -u)" -eq 0 ] || { why="not root; to have it: sudo apt-get install $*"; return 1; }
  if [ ! -e "$policy" ]; then
    made="$policy"
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  why="apt-get could not install $*"
  DEBIAN_FRONTEND=noninteractive apt_install "$@" && why="" || true
  unmake
  [ -z "$why" ]
}

apt_install() {
  if [ -z "${updated:-}" ]; then
    apt-get -qq -o Acquire::Retries=3 update </dev/null && updated=1 || return 1
  fi
  apt-get -qq -o Acquire::Retries=3 install --yes --no-install-recommends "$@" </dev/null >/dev/null
}

for part in "${@:-${parts[@]}}"; do
  if ! declare -F "part_$part" >/dev/null; then
    echo "rig: no part '$part'; there are: ${parts[*]}" >&2
    exit 2
  fi
  why=""
  if "part_$part" >/dev/null; then
    echo "rig: $part: ready"
  else
    echo "rig: $part: skipped: ${why:-not there}"
  fi
done
