#!/usr/bin/env bash
# vmagent and VictoriaMetrics 1.151.0 (vmagent 1.110.0, too) that scrape with honor_timestamps: true: when a target goes away, or a series
# from it, the stale marker of a series with timestamps of its own does not have the time at which that was seen, but one of the
# series' own: that of the scrape since which the target has had the same series, which may be days ago. sendStaleSeries reads the text of
# that scrape again, and takes its timestamps (lib/promscrape/scrapework.go). Two things follow. The series does not end. And the sample
# of that scrape may be lost: a Prometheus 3.15 with an out_of_order_time_window takes the marker, and then shows no sample at
# that time; without a window it refuses the marker. With no_stale_markers: true none are sent.
#
# Seen: of three scrapes, the first sample and the marker have one time, and nothing is behind the last sample.
#
# Needs Go, python3, curl and the module proxy; works in a temp folder, and listens on loopback. Building takes some minutes.
set -euo pipefail
dir=$(mktemp -d)
finish() {
  kill $(cat "$dir"/*.pid 2>/dev/null) 2>/dev/null || true
  chmod -R u+w "$dir"
  rm -rf "$dir"
}
trap finish EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod
printf 'module finding\n\ngo 1.26.0\n\nrequire github.com/VictoriaMetrics/VictoriaMetrics v1.151.0\n' >go.mod
go build -o victoria-metrics github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics

cat >target.py <<'PY'
import http.server, time

class Target(http.server.BaseHTTPRequestHandler):
    scrapes = 0
    def do_GET(self):
        Target.scrapes += 1
        text = f"timed {Target.scrapes} {int(time.time() * 1000)}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Target)
print(server.server_port, flush=True)
while Target.scrapes < 3:
    server.handle_request()
PY
python3 target.py >target & echo $! >target.pid
until target=$(head -n 1 target) && [ -n "$target" ]; do sleep 0.1; done
cat >scrape.yml <<YML
scrape_configs:
  - job_name: own
    scrape_interval: 1s
    scrape_timeout: 1s
    honor_timestamps: true
    static_configs: [{targets: ["127.0.0.1:$target"]}]
YML
port=$((20000 + RANDOM % 20000))
base=http://127.0.0.1:$port
./victoria-metrics -httpListenAddr="127.0.0.1:$port" -promscrape.config=scrape.yml -storageDataPath=data >log 2>&1 & echo $! >victoria.pid
for _ in $(seq 100); do
  curl -sf "$base/health" >/dev/null && break
  sleep 0.1
done
until curl -sf "$base/metrics" | grep "^vm_promscrape_stale_samples_created_total [1-9]" >/dev/null; do sleep 0.1; done
curl -sf "$base/internal/force_flush"
curl -sf "$base/api/v1/export?match[]=timed&reduce_mem_usage=1" >exported # a marker is null
python3 - exported <<'PY' | tee seen
import json, sys
samples = sorted((t, v or 0) for line in open(sys.argv[1]) for row in [json.loads(line)] for t, v in zip(row["timestamps"], row["values"]))
first = samples[0][0]
for t, v in samples:
    print("the marker" if not v else f"sample {v}", "at the first one's time" if t == first else "later")
PY
[ "$(cat seen)" = "the marker at the first one's time
sample 1 at the first one's time
sample 2 later
sample 3 later" ] || { echo "that has changed"; exit 1; }
