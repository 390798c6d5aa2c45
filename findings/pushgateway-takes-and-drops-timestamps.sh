#!/usr/bin/env bash
# Pushgateway 1.11.3 takes no samples with timestamps, and says so only by default: 400, "pushed metrics must not have
# timestamps". With --push.disable-consistency-check it answers 202 to the same push and throws it away, all of it. Only
# push_failure_time_seconds of the group tells, afterwards. A push without timestamps gets the same 202 and is kept, so a
# client that takes any 2xx for delivered cannot tell the two apart.
#
# Seen: checked: with a timestamp 400, without 200. Unchecked: with 202 and no sample, without 202 and the sample.
#
# Needs Go, curl and the module proxy; works in a temp folder, and listens on loopback.
set -euo pipefail
dir=$(mktemp -d)
pid=
finish() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  chmod -R u+w "$dir"
  rm -rf "$dir"
}
trap finish EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod
printf 'module finding\n\ngo 1.26.0\n\nrequire github.com/prometheus/pushgateway v1.11.3\n' >go.mod
go build -o pushgateway github.com/prometheus/pushgateway
port=$((20000 + RANDOM % 20000))
base=http://127.0.0.1:$port

# ask FLAGS prints what becomes of a sample with a timestamp and of one without.
ask() {
  ./pushgateway --web.listen-address="127.0.0.1:$port" "$@" >log 2>&1 &
  pid=$!
  for _ in $(seq 100); do
    curl -sf "$base/-/ready" >/dev/null && break
    sleep 0.1
  done
  for sample in 'with 7 1796060000000' 'without 7'; do
    name=${sample%% *}
    status=$(printf '%s\n' "$sample" | curl -s -o answer -w '%{http_code}' --data-binary @- "$base/metrics/job/$name")
    # What was answered 202 is worked on later: the group's own times say when that is done.
    for _ in $(seq 100); do
      curl -s "$base/metrics" >page
      grep -Eq "^push_(failure_)?time_seconds\{.*job=\"$name\"\} [1-9]" page && break
      sleep 0.1
    done
    printf '%s a timestamp: %s, %d sample(s)%s\n' "$name" "$status" "$(grep -c "^$name{" page || true)" \
      "$(grep -o 'pushed metrics must not have timestamps' answer | head -n 1 | sed 's/^/, /')"
  done
  kill "$pid"
  wait "$pid" 2>/dev/null || true
  pid=
}

{
  echo checked
  ask
  echo unchecked
  ask --push.disable-consistency-check
} | tee seen
diff seen - <<'SEEN'
checked
with a timestamp: 400, 0 sample(s), pushed metrics must not have timestamps
without a timestamp: 200, 1 sample(s)
unchecked
with a timestamp: 202, 0 sample(s)
without a timestamp: 202, 1 sample(s)
SEEN
