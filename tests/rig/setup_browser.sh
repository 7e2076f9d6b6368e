#!/usr/bin/env bash
# Install what the tests of the page agent use: chromium, node with npm, and onnxruntime-web in the cache. Idempotent: what is there is
# left alone. What cannot be installed is said, with the reason; the tests that need it skip themselves.
#
#   tests/rig/setup_browser.sh
set -euo pipefail

say() { echo "rig: browser: $*"; }

# ensure PROGRAM PACKAGE…: install the packages where the program is not there.
ensure() {
  local program="$1"
  shift
  if command -v "$program" >/dev/null; then
    say "$program: ready"
  elif ! command -v apt-get >/dev/null; then
    say "$program: skipped: no apt-get here to install $* with"
  elif [ "$(id -u)" -ne 0 ]; then
    say "$program: skipped: not root; to have it: sudo apt-get install $*"
  elif apt-get -qq -o Acquire::Retries=3 update </dev/null &&
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 install --yes --no-install-recommends "$@" </dev/null >/dev/null; then
    say "$program: installed"
  else
    say "$program: skipped: apt-get could not install $*"
  fi
}

here="${BASH_SOURCE[0]%/*}"
[ "$here" != "${BASH_SOURCE[0]}" ] || here=.
root="$here/../.."
python="${HWNAS_PYTHON:-$root/.venv/bin/python}"

ensure chromium chromium
ensure node nodejs
ensure npm npm
if ! [ -x "$python" ]; then
  say "onnxruntime-web: skipped: no $python; run 'make setup' first"
elif "$python" -c 'from hwnas.profiler.webruntime import web_files; web_files()' 2>/dev/null; then
  say "onnxruntime-web: ready"
elif why="$("$python" -m hwnas agent fetch-web 2>&1)"; then
  say "onnxruntime-web: fetched"
else
  say "onnxruntime-web: skipped: $why"
fi
