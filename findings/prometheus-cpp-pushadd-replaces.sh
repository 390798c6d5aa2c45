#!/usr/bin/env bash
# prometheus-cpp 1.0.1 (Debian 12, 1.0.1-1): the two ways to push to a Pushgateway are the wrong way round. PushAdd is
# sent as PUT, which replaces a group, so it takes away what others have pushed to it. Push is sent as POST, which replaces families of the same
# names only, so what is no longer pushed stays. In the clients for Go, Python and JavaScript PushAdd (Go: Add) is POST, and Push is PUT.
# Both return 200.
#
# Seen, with Debian's Pushgateway 1.5.1: a group has the metric there. After PushAdd of mine it has mine alone. After Push of mine it
# has both.
#
# Needs Debian 12, g++, curl and apt-get; installs nothing, works in a temp folder, and listens on loopback.
set -euo pipefail
cpp=1.0.1-1
dir=$(mktemp -d)
pid=
finish() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  rm -rf "$dir"
}
trap finish EXIT
cd "$dir"
apt-get download -q "prometheus-cpp-dev=$cpp" "libprometheus-cpp-core1.0=$cpp" "libprometheus-cpp-push1.0=$cpp" prometheus-pushgateway=1.5.1-2+b5 >/dev/null
for package in *.deb; do dpkg -x "$package" root; done
lib=$dir/root/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu)
echo "prometheus-cpp $cpp"

cat >push.cc <<'CC'
#include <prometheus/gateway.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <cstdio>
#include <memory>
#include <string>
using namespace prometheus;
int main(int, char** argv) {
  auto registry = std::make_shared<Registry>();
  BuildGauge().Name("mine").Register(*registry).Add({}).Set(1);
  Gateway gateway{"127.0.0.1", argv[1], "job"};
  gateway.RegisterCollectable(registry);
  const bool add = argv[2] == std::string("PushAdd");
  std::printf("%s: %d", argv[2], add ? gateway.PushAdd() : gateway.Push());
}
CC
g++ -Iroot/usr/include -o push push.cc -L"$lib" -lprometheus-cpp-push -lprometheus-cpp-core -Wl,--allow-shlib-undefined
export LD_LIBRARY_PATH=$lib

port=$((20000 + RANDOM % 20000))
base=http://127.0.0.1:$port
root/usr/bin/prometheus-pushgateway --web.listen-address="127.0.0.1:$port" --persistence.file="" >log 2>&1 &
pid=$!
for _ in $(seq 100); do
  curl -sf "$base/-/ready" >/dev/null && break
  sleep 0.1
done
for call in PushAdd Push; do
  echo 'there 1' | curl -sf -X PUT --data-binary @- "$base/metrics/job/job"
  ./push "$port" "$call"
  curl -sf "$base/metrics" | sed -n 's/^\(mine\|there\){.*/, \1/p' | tr -d '\n'
  echo
done >seen
cat seen
[ "$(cat seen)" = "PushAdd: 200, mine
Push: 200, mine, there" ] || { echo "that has changed"; exit 1; }
