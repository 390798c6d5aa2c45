#!/usr/bin/env bash
# npm's prom-client 15.1.3: a push to a Pushgateway that is answered by a redirect resolves, as one that was taken does. It is not followed,
# so the metrics are nowhere. A Pushgateway answers so where a label has no value in the middle of a path, as in
# groupings {zone: '', rack: 'r1'}: 307 from /metrics/job/job/zone//rack/r1 to a path that names another group.
#
# Seen, with Debian's Pushgateway 1.5.1 (which answers 301): push with {zone: 'z'} resolves and its metric is there. push with
# {zone: '', rack: 'r1'} resolves with a response whose status is 301, and no metric is there.
#
# Needs node 16 or newer, npm and its registry, Debian 12 with apt-get and curl; installs nothing, works in a temp folder, and listens on loopback.
set -euo pipefail
dir=$(mktemp -d)
pid=
finish() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  rm -rf "$dir"
}
trap finish EXIT
cd "$dir"
apt-get download -q prometheus-pushgateway=1.5.1-2+b5 >/dev/null
dpkg -x prometheus-pushgateway_*.deb root
echo '{"private": true}' >package.json
npm install --ignore-scripts --no-audit --no-fund --silent prom-client@15.1.3
echo "prom-client $(node -p 'require("prom-client/package.json").version')"

port=$((20000 + RANDOM % 20000))
base=http://127.0.0.1:$port
root/usr/bin/prometheus-pushgateway --web.listen-address="127.0.0.1:$port" --persistence.file="" >log 2>&1 &
pid=$!
for _ in $(seq 100); do
  curl -sf "$base/-/ready" >/dev/null && break
  sleep 0.1
done
cat >push.js <<'JS'
const {Gauge, Pushgateway, Registry} = require('prom-client');
const registry = new Registry();
const gauge = new Gauge({name: 'pushed', help: 'A metric.', registers: [registry]});
gauge.set(1);
const [url, groupings] = process.argv.slice(2);
new Pushgateway(url, {}, registry).push({jobName: 'job', groupings: JSON.parse(groupings)}).then(
  ({resp}) => console.log('resolved,', resp.statusCode),
  (error) => console.log('rejected,', error.message));
JS
for groupings in '{"zone": "z"}' '{"zone": "", "rack": "r1"}'; do
  curl -sf -X DELETE "$base/metrics/job/job/zone/z"
  echo "$groupings: $(node push.js "$base" "$groupings"), metrics: $(curl -sf "$base/metrics" | grep -c '^pushed{' || true)"
done >seen
cat seen
[ "$(cat seen)" = '{"zone": "z"}: resolved, 200, metrics: 1
{"zone": "", "rack": "r1"}: resolved, 301, metrics: 0' ] || { echo "that has changed"; exit 1; }
