#!/usr/bin/env bash
# Install the system packages that some tests use, and those of the rigs (tests/rig/setup.sh). Idempotent: what is there is left alone. Where there is no apt-get, or no
# right to use it, it says so and ends well: the tests that need a package that is missing skip themselves and say why.
set -euo pipefail

# The original that the packaged image subset is checked against, and the validator of XML reports.
packages=(dataset-fashion-mnist libxml2-utils)

missing=()
for package in "${packages[@]}"; do
  status="$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)"
  [ "$status" = installed ] || missing+=("$package")
done

if [ "${#missing[@]}" -eq 0 ]; then
  echo "setup_system: ${packages[*]} already installed"
elif ! command -v apt-get >/dev/null; then
  echo "setup_system: skipped: no apt-get here to install ${missing[*]} with"
elif [ "$(id -u)" -ne 0 ]; then
  echo "setup_system: skipped: not root; to have all tests run: sudo apt-get install ${missing[*]}"
else
  export DEBIAN_FRONTEND=noninteractive
  echo "setup_system: installing ${missing[*]}"
  apt-get -qq -o Acquire::Retries=3 update </dev/null
  apt-get -qq -o Acquire::Retries=3 install --yes --no-install-recommends "${missing[@]}" </dev/null >/dev/null
fi

here="${BASH_SOURCE[0]%/*}"
[ "$here" != "${BASH_SOURCE[0]}" ] || here=.
"$BASH" "$here/../tests/rig/setup.sh"
