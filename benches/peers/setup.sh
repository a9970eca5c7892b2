#!/usr/bin/env bash
# Installs what the benchmark compares with, as Debian packages: nginx, Varnish, and wrk, which asks. Needs root;
# otherwise it says what to install. `cargo bench --bench peers` calls it when something is missing.

set -euo pipefail

packages=()
command -v nginx >/dev/null || [[ -x /usr/sbin/nginx ]] || packages+=(nginx-light)
command -v varnishd >/dev/null || [[ -x /usr/sbin/varnishd ]] || packages+=(varnish)
command -v wrk >/dev/null || packages+=(wrk)
((${#packages[@]})) || exit 0

if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "benches/peers needs: ${packages[*]} (Debian: apt-get install --no-install-recommends ${packages[*]})" >&2
    exit 1
fi

# The packages would start their services, which nobody asked for.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
