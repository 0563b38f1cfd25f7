# What the benchmarks of Connect share; read by them with seconds set.
# Sets server, key and publish; start_connect ENGINE, stop_connect, measure CONNECTIONS URL [OPTION…], memory.
[ -n "${TEAMSIM:-}" ] || cargo build --release -q
teamsim=${TEAMSIM:-target/release/teamsim}
[ -n "${PUBLISH:-}" ] || cargo build --release -q -p harness --example publish
publish=${PUBLISH:-target/release/examples/publish}
server=http://127.0.0.1:24310
key=$("$publish" key)
work=$(mktemp -d)
# The server of PostgreSQL gives up root and must still get there.
chmod 755 "$work"
pids=()
connect=
cleanup() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT
# Waits for a command to succeed, a minute at most.
wait_for() { for _ in $(seq 600); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; echo "no success: $*" >&2; exit 1; }

start_connect() {
    local database=()
    if [ "$1" = postgres ]; then
        local bin as=()
        bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
        [ "$(id -u)" != 0 ] || as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
        mkdir -p "$work/pg" && { [ "$(id -u)" != 0 ] || chown postgres "$work/pg"; }
        [ -e "$work/pg/data" ] || (cd "$work/pg" && "${as[@]}" "$bin/initdb" -A trust -U teamsim -E UTF8 -D "$work/pg/data" >/dev/null)
        (cd "$work/pg" && exec "${as[@]}" "$bin/postgres" -D "$work/pg/data" -h 127.0.0.1 -p 24312 -k '' >"$work/pg.log" 2>&1) &
        pids+=($!)
        wait_for "$bin/psql" -h 127.0.0.1 -p 24312 -U teamsim postgres -c 'CREATE DATABASE connect'
        database=(--database-url "postgres://teamsim@127.0.0.1:24312/connect?sslmode=disable")
    fi
    "$teamsim" serve connect --port 24310 --data-dir "$work/data-$1" "${database[@]}" >"$work/connect.log" 2>&1 &
    connect=$!
    pids+=("$connect")
    wait_for curl -sf $server/__ping__
}

stop_connect() { kill "$connect"; wait "$connect" 2>/dev/null || true; }

# "requests/s, p99", of answers that are successes. What comes after CONNECTIONS and URL is for wrk.
measure() {
    wrk -t2 -c"$1" -d"${seconds}s" --latency -H "Authorization: Key $key" "${@:3}" "$2" | awk '
        /99%/ {p99 = $2} /Requests\/sec/ {rate = $2}
        /Non-2xx/ {print "errors:" $0 > "/dev/stderr"}
        END {printf "%.0f/s, p99 %s", rate, p99}'
}

# Resident memory in kB.
memory() { awk '/VmRSS/ {print $2}' "/proc/$connect/status"; }
