# Clusters, processes and proofs of scripts/drill.
# shellcheck shell=bash

export JWT_SECRET=a-secret-of-thirty-two-bytes-or-more
# name=pid of the processes of the service
declare -A PROCESSES=()
APISERVER_PIDS=()
LOAD_PID= WATCH_PID= SENT=0 WORK= BEGAN=0 CLUSTER= PARTITIONS=4 WATCHED=0

begin() {
    begin_without_kafka "$1"
    start_kafka "$WORK/kafka"
}

begin_without_kafka() {
    say "drill: $1"
    BEGAN=$SECONDS
    SENT=0
    PARTITIONS=4
    WORK=$(server_dir "drill/$1")
    rm -rf "${WORK:?}"/*
    mkdir -p "$WORK/archive" "$WORK/kafka"
    if [ "$(id -u)" = 0 ]; then chown postgres "$WORK" "$WORK/archive"; fi
}

report() { printf '%4d s  %s\n' $((SECONDS - BEGAN)) "$*"; }

end() {
    # A second Ctrl-C must not leave processes behind.
    set +e
    stop_load
    if [ -n "$WATCH_PID" ]; then kill "$WATCH_PID" 2>/dev/null; fi
    WATCH_PID=
    stop_service
    stop_processes "${APISERVER_PIDS[@]}"
    APISERVER_PIDS=()
    stop_servers
    set -e
}

# Creates a cluster NAME with additional settings.
new_cluster() {
    local name=$1 bin
    bin=$(postgres_bin)
    mkdir -p "$WORK/$name"
    if [ "$(id -u)" = 0 ]; then chown postgres "$WORK/$name"; fi
    (as_postgres "$bin/initdb" -D "$WORK/$name/data" -U analytics --auth=trust --encoding=UTF8 --locale=C.UTF-8) >"$WORK/$name/initdb.log" 2>&1
    settings "$name" "${@:2}"
}

settings() {
    local name=$1 line
    for line in "${@:2}"; do echo "$line" >>"$WORK/$name/data/postgresql.conf"; done
}

# Starts a cluster; the port is another one each time.
start_cluster() {
    CLUSTER=$1
    start_postgres "$WORK/$1"
}

stop_cluster() {
    kill -INT "$POSTGRES_PID"
    wait "$POSTGRES_PID" 2>/dev/null || true
    POSTGRES_PID=
}

# Like a machine that loses power.
lose_cluster() {
    kill -QUIT "$POSTGRES_PID"
    wait "$POSTGRES_PID" 2>/dev/null || true
    POSTGRES_PID=
}

# Writes a base backup of the running cluster to FOLDER.
backup() {
    (as_postgres pg_basebackup -d "$DATABASE_URL" -D "$WORK/$2" --checkpoint=fast --wal-method=stream) >"$WORK/$2.log" 2>&1
}

# Makes a cluster NAME of the base backup in FOLDER. With settings, it recovers from the archive.
restored_cluster() {
    local name=$1
    mkdir -p "$WORK/$name"
    cp -a "$WORK/$2" "$WORK/$name/data"
    if [ "$(id -u)" = 0 ]; then chown postgres "$WORK/$name"; fi
    if [ $# -gt 2 ]; then
        touch "$WORK/$name/data/recovery.signal"
        if [ "$(id -u)" = 0 ]; then chown postgres "$WORK/$name/data/recovery.signal"; fi
        settings "$name" "archive_mode=off" "${@:3}"
    fi
}

await_promotion() {
    local deadline=$((SECONDS + 60))
    until [ "$(query 'SELECT pg_is_in_recovery()')" = f ]; do
        [ $SECONDS -lt $deadline ] || die "the restored cluster was not promoted within a minute"
        sleep 0.2
    done
}

query() { psql -X -q -A -t -v ON_ERROR_STOP=1 -d "${2:-$DATABASE_URL}" -c "$1"; }
as_service() { RUST_LOG=warn "$BIN/analytics-jobs" "$@"; }
counted() { query "SELECT coalesce(sum(events + duplicates + rejected), 0) FROM ingest_offsets WHERE consumer_group = 'analytics-ingest'"; }
duplicates() { query "SELECT coalesce(sum(duplicates), 0) FROM ingest_offsets WHERE consumer_group = 'analytics-ingest'"; }

# Waits until N records are logged, and everything that is logged is counted.
await_counted() {
    local deadline=$((SECONDS + 120))
    until [ "$(counted)" -ge "$1" ] && [ "$(query 'SELECT count(*) FROM batches WHERE number IS NULL')" = 0 ]; do
        [ $SECONDS -lt $deadline ] || die "$(counted) of $1 events were counted within two minutes"
        sleep 0.2
    done
}

traffic() { "$BIN/traffic" --partitions "$PARTITIONS" "$@" >>"$WORK/traffic.log" 2>&1; }

# Produces N events with a SEED, and waits until they are counted.
produce() {
    traffic --events "$1" --seed "$2" --rate 0 --past-minutes 60
    SENT=$((SENT + $1))
    await_counted "$SENT"
}

start_ingest() { start_process "$1" INGEST_BIND analytics-ingest; }
start_api() { start_process "$1" API_BIND analytics-api; }

# Starts a program under a NAME; the setting that is named second gives its address.
start_process() {
    local port
    port=$(free_port)
    env "$2=127.0.0.1:$port" "$BIN/$3" >>"$WORK/$1.log" 2>&1 &
    PROCESSES[$1]=$!
    echo "$port" >"$WORK/$1.port"
}

# Waits until every process is ready.
await_ready() {
    local name deadline=$((SECONDS + 60))
    for name in "${!PROCESSES[@]}"; do
        until curl -fsS "http://127.0.0.1:$(cat "$WORK/$name.port")/health/ready" >/dev/null 2>&1; do
            [ $SECONDS -lt $deadline ] || die "$name was not ready within a minute"
            sleep 0.1
        done
    done
}

# Waits until the log of a process contains a word.
await_log() {
    local deadline=$((SECONDS + 60))
    until grep -q "$2" "$WORK/$1.log"; do
        [ $SECONDS -lt $deadline ] || die "$1 did not say '$2' within a minute"
        sleep 0.1
    done
}

# Stops the processes of these names, or all.
stop_service() {
    local name names=("$@")
    if [ $# = 0 ]; then names=("${!PROCESSES[@]}"); fi
    for name in "${names[@]}"; do
        stop_processes "${PROCESSES[$name]}"
        unset "PROCESSES[$name]"
    done
}

start_load() {
    "$BIN/traffic" --partitions "$PARTITIONS" --rate "$1" --seed 9 >>"$WORK/load.log" 2>&1 &
    LOAD_PID=$!
}

stop_load() {
    if [ -z "$LOAD_PID" ]; then return; fi
    stop_processes "$LOAD_PID"
    LOAD_PID=
    SENT=$((SENT + $(sent load)))
}

# How many records the traffic of the log NAME has sent.
sent() { sed -n 's/^sent \([0-9]*\) events.*/\1/p' "$WORK/${1:-traffic}.log" | tail -1; }

# Writes the stored offset of each partition to a file, four times a second.
watch_partitions() {
    WATCHED=$SECONDS
    while :; do
        query "SELECT extract(epoch FROM clock_timestamp()), topic, partition, next_offset, high_watermark FROM ingest_offsets" || true
        sleep 0.25
    done >"$WORK/watched.log" 2>/dev/null &
    WATCH_PID=$!
}

stop_watching() {
    kill "$WATCH_PID" 2>/dev/null || true
    WATCH_PID=
    WATCHED=$((SECONDS - WATCHED))
}

# The longest time for which the stored offset of a busy partition did not move. Busy are those whose offset
# moves at least once in two seconds on average.
longest_pause() {
    awk -F'|' '
        { key = $2 "/" $3 }
        !(key in moved) { moved[key] = $1; offset[key] = $4; first[key] = $1 }
        $4 != offset[key] { offset[key] = $4; moves[key]++; moved[key] = $1 }
        { if ($1 - moved[key] > pause[key]) pause[key] = $1 - moved[key]; last[key] = $1 }
        END {
            for (key in pause) if (moves[key] * 2 > last[key] - first[key] && pause[key] > longest) longest = pause[key]
            printf "%.1f", longest
        }' "$WORK/watched.log"
}

# Proves the database of the drill: nothing differs from the event log, and nothing from a database that
# counted the same topics from their beginning.
proved() {
    local name=$1 after reference digest expected url=$DATABASE_URL
    after=$(as_service verify --full) || die "verify found differences: $after"
    query "SELECT type, value FROM metrics ORDER BY type COLLATE \"C\"" >"$WORK/$name.metrics"
    query "CREATE DATABASE reference" >/dev/null
    DATABASE_URL=${url%/*}/reference
    as_service migrate >/dev/null
    start_ingest reference
    await_counted "$SENT"
    stop_service
    reference=$(as_service verify --full) || die "verify of the reference found differences: $reference"
    query "SELECT type, value FROM metrics ORDER BY type COLLATE \"C\"" >"$WORK/reference.metrics"
    DATABASE_URL=$url
    cmp "$WORK/$name.metrics" "$WORK/reference.metrics" || die "numbers differ from those of a database without the incident"
    digest=$(sed -n 's/.*digest //p' <<<"$after")
    expected=$(sed -n 's/.*digest //p' <<<"$reference")
    [ "$digest" = "$expected" ] || die "the digest $digest differs from $expected, that of a database without the incident"
    report "$(sed -n '/^as of/p' <<<"$after")"
    report "$(wc -l <"$WORK/$name.metrics") metrics and the digest $digest are those of a database without the incident"
}
