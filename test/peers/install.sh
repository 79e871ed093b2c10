#!/bin/sh
# Installs the Debian programs that the peer tests and the bench compare with. Needs root.
set -eu
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  bind9-dnsutils knot-dnsutils dnsperf dnsmasq-base unbound dnsdist prometheus wrk etcd-server \
  haproxy zsh fish iproute2 curl openssl ca-certificates python3 python3-consul \
  golang-go golang-github-armon-consul-api-dev golang-google-grpc-dev nghttp2-server nghttp2-client >/dev/null
# For the machine of test/peers/machine.sh; on most machines systemd is there.
[ -x /lib/systemd/systemd ] || DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends systemd >/dev/null
# Unpacked there and not installed here, where they would take over /etc/resolv.conf.
mkdir -p /var/cache/waypost-peers
cd /var/cache/waypost-peers
for name in systemd-resolved openresolv; do
  rm -f "$name"_*.deb
  apt-get download -qq "$name" 2>/dev/null
  mv "$name"_*.deb "$name.deb"
done
