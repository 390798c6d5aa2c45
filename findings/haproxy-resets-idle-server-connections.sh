#!/usr/bin/env bash
# HAProxy 2.6.12 (Debian 12, 2.6.12-1+deb12u4): a connection to a server that is idle in its pool
# and is taken out of it (pool-purge-delay) is reset and not closed in order, although HAProxy
# has read the whole response. A server that takes a reset for "the
# client has not read it" (TCP resets a connection that is closed with bytes unread) is misled.
#
# Seen: the server sends a response of 1,000 bytes, the client gets all of it, and then the server
# reads: ECONNRESET, three times of three.
#
# Needs Debian 12, python3 and apt-get; installs nothing, works in a temp folder.
set -euo pipefail
version=2.6.12-1+deb12u4
dir=$(mktemp -d)
trap 'kill $(cat "$dir"/*.pid 2>/dev/null) 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -q "haproxy=$version" liblua5.3-0 >/dev/null
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH="$dir/root/usr/lib/x86_64-linux-gnu:$dir/root/lib/x86_64-linux-gnu"
root/usr/sbin/haproxy -v | head -n 1

cat > server.py <<'PY'
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
for _ in range(3):
    conn, _ = listener.accept()
    conn.settimeout(10)
    request = b""
    while b"\r\n\r\n" not in request:
        request += conn.recv(65536)
    conn.sendall(head.encode() + b"x" * 1000)
    try:
        print("in order" if conn.recv(1) == b"" else "another request", flush=True)
    except ConnectionResetError:
        print("reset", flush=True)
    conn.close()
PY

python3 server.py > seen & echo $! > server.pid
until port=$(head -n 1 seen) && [ -n "$port" ]; do sleep 0.1; done
proxy=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > proxy.cfg <<CFG
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout http-keep-alive 100ms
frontend in
  bind 127.0.0.1:$proxy
  default_backend out
backend out
  default-server pool-purge-delay 50ms
  server s 127.0.0.1:$port
CFG
root/usr/sbin/haproxy -db -f proxy.cfg 2>/dev/null & echo $! > proxy.pid

# Clients that keep their connections, so that HAProxy's own clock ends them.
python3 - "$proxy" <<'PY'
import socket, sys, time
def dial():
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        except ConnectionRefusedError:
            time.sleep(0.1)
    sys.exit("HAProxy does not listen")
for _ in range(3):
    s, got = dial(), b""
    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    while part := s.recv(65536):
        got += part
    assert got.endswith(b"x" * 1000), got
PY
wait "$(cat server.pid)"
seen=$(tail -n +2 seen | sort | uniq -c | sed 's/^ *//')
printf 'the server saw: %s\n' "$seen"
[ "$seen" = "3 reset" ] || { echo "this has changed"; exit 1; }
