# The older version of `scripts/drill upgrade`, and what callers see while versions change.
# shellcheck shell=bash

# The last version before cancellations, refunds, statements and payments; five migrations older.
OLDER_VERSION=06f6a7c2
OLDER_BIN=

# Builds the older version once.
build_older_version() {
    local home=$ROOT/.local/older/$OLDER_VERSION
    OLDER_BIN=$home/bin
    if [ -e "$home/complete" ]; then return; fi
    git cat-file -e "$OLDER_VERSION^{commit}" 2>/dev/null || die "the commit $OLDER_VERSION is not in this clone: git fetch --unshallow"
    rm -rf "$home"
    mkdir -p "$home/source" "$OLDER_BIN"
    git archive "$OLDER_VERSION" | tar -x -C "$home/source"
    step "building the older version $OLDER_VERSION (takes minutes, once)" cargo_older "$home"
    cp "$home"/target/release/analytics-{ingest,api,jobs} "$OLDER_BIN"
    rm -rf "$home/source" "$home/target"
    touch "$home/complete"
}

cargo_older() (
    cd "$1/source"
    CARGO_TARGET_DIR=$1/target cargo build --release --locked -p analytics-ingest -p analytics-api -p analytics-jobs
)

older() { BIN=$OLDER_BIN "$@"; }

schema() { query "SELECT max(version) FROM __diesel_schema_migrations"; }

# Asks every API for numbers, again and again, until the file `watch` is gone. Writes each status that is not 200, and
# each number that went back. An API whose file is removed is about to be stopped.
watch_callers() {
    touch "$WORK/watch"
    older as_service token --role admin >"$WORK/token"
    while [ -e "$WORK/watch" ]; do
        for file in "$WORK"/*.watched; do
            [ -e "$file" ] || continue
            for path in metrics/total_views overview?period=today "metrics/total_revenue/series?period=7d" rankings/products?by=views; do
                ask_api "$file" "$path"
            done
        done
        sleep 0.05
    done &
    WATCH_PID=$!
}

ask_api() {
    local file=$1 path=$2 port status value last
    port=$(cat "$file" 2>/dev/null) || return 0
    status=$(curl -s -o "$WORK/answer" -w '%{http_code}' -H "Authorization: Bearer $(cat "$WORK/token")" \
        "http://127.0.0.1:$port/api/$path") || true
    echo "$status" >>"$WORK/statuses"
    if [ "$status" != 200 ] && [ -e "$file" ]; then echo "$(basename "$file") $path: $status $(cat "$WORK/answer")" >>"$WORK/failures"; fi
    if [ "$status" = 200 ] && [ "$path" = metrics/total_views ]; then
        value=$(sed -n 's/.*"value":\([0-9]*\).*/\1/p' "$WORK/answer")
        last=$(cat "$WORK/views" 2>/dev/null || echo 0)
        if [ "${value:-0}" -lt "$last" ]; then echo "total_views went back from $last to ${value:-nothing}" >>"$WORK/failures"; fi
        echo "${value:-0}" >"$WORK/views"
    fi
}

stop_watching_callers() {
    rm "$WORK/watch"
    wait "$WATCH_PID"
    WATCH_PID=
    if [ -e "$WORK/failures" ]; then
        head -20 "$WORK/failures" >&2
        die "$(wc -l <"$WORK/failures") answers were not as they should be"
    fi
}

# Starts an ingest process and an API.
start_version() {
    start_ingest "$1-ingest"
    start_api "$1-api"
}

# Waits until the processes are ready, and has callers ask the API.
ready_version() {
    await_ready
    cp "$WORK/$1-api.port" "$WORK/$1-api.watched"
}

# Stops the processes of a version, which must have run until now.
stop_version() {
    local name
    rm "$WORK/$1-api.watched"
    for name in "$1-ingest" "$1-api"; do
        kill -0 "${PROCESSES[$name]}" 2>/dev/null || { tail -3 "$WORK/$name.log" >&2; die "$name ended by itself"; }
    done
    stop_service "$1-ingest" "$1-api"
}

# Produces some days of the sample marketplace, with cancellations and refunds.
produce_history() {
    traffic --demo --history-days 20 --seed "$1" --events 0
    SENT=$((SENT + $(sent)))
}

# Waits until records were counted that are not counted now.
await_progress() {
    local began deadline=$((SECONDS + 60))
    began=$(counted)
    until [ "$(counted)" -gt $((began + $1)) ]; do
        [ $SECONDS -lt $deadline ] || die "nothing more was counted for a minute"
        sleep 0.2
    done
}
