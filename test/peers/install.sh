#!/bin/sh
# Installs the Debian programs that the peer tests and the bench compare with. Needs root.
set -eu
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  bind9-dnsutils knot-dnsutils dnsperf dnsmasq-base unbound dnsdist prometheus wrk etcd-server \
  haproxy zsh fish iproute2 curl openssl ca-certificates python3 python3-consul \
  golang-go golang-github-armon-consul-api-dev golang-google-grpc-dev nghttp2-server nghttp2-client >/dev/null
