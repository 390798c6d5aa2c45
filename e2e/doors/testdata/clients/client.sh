#!/bin/sh
# Pushes with curl or wget: client.sh curl URL JOB, and lines on standard input, a word, a tab and an instance. What comes of
# each is a line on standard output.
tool=$1 url=$2 job=$3
body=$(mktemp)
trap 'rm -f "$body"' EXIT

backup() {
  cat <<'TEXT'
# TYPE backup_rows_total counter
backup_rows_total 42
# TYPE backup_size_bytes gauge
backup_size_bytes 1.5
# TYPE backup_seconds histogram
backup_seconds_bucket{le="1"} 1
backup_seconds_bucket{le="10"} 2
backup_seconds_bucket{le="+Inf"} 2
backup_seconds_sum 5.5
backup_seconds_count 2
# TYPE backup_wait_seconds summary
backup_wait_seconds_sum 6
backup_wait_seconds_count 2
TEXT
}

more() {
  printf '# TYPE backup_verified gauge\nbackup_verified 7\n'
}

curl_() { # METHOD GROUP
  case $1 in
  DELETE) curl -sS --fail -X DELETE "$2" ;;
  *) curl -sS --fail -X "$1" --data-binary "@$body" "$2" ;;
  esac
}

wget_() { # METHOD GROUP
  case $1 in
  DELETE) wget -nv -O /dev/null --method=DELETE "$2" ;;
  PUT) wget -nv -O /dev/null --method=PUT --body-file="$body" "$2" ;;
  POST) wget -nv -O /dev/null --post-file="$body" "$2" ;;
  esac
}

tab=$(printf '\t')
while IFS= read -r line; do
  encoded=$(printf %s "${line#*"$tab"}" | base64 -w 0 | tr +/ -_)
  case ${line%%"$tab"*} in
  push) backup >"$body"; method=PUT ;;
  add) more >"$body"; method=POST ;;
  delete) method=DELETE ;;
  esac
  if said=$("${tool}_" "$method" "$url/metrics/job/$job/instance@base64/${encoded:-=}" 2>&1); then
    echo ok
  else
    echo "failed: $(echo "$said" | tr '\n' ' ')"
  fi
done
