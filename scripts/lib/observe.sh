# Starts what watches the service for scripts/quickstart --observe, on loopback only.
# shellcheck shell=bash disable=SC2154
# Uses the functions and variables of scripts/quickstart: bind, start, start_as, logs, own_servers and the addresses of the
# service.

# Prometheus with the configuration of docker/observe, Alertmanager with the example of deploy/prometheus, and
# Grafana with deploy/grafana, if it is installed.
start_observers() {
    # Debian's Alertmanager has no pages, and its Prometheus the classic ones.
    local home=$ROOT/.local/quickstart/observe
    rm -rf "$home"
    mkdir -p "$home"
    PROMETHEUS_BIND=$(bind 9091)
    ALERTMANAGER_BIND=$(bind 9093)
    sed -e "s#rules/\*.yaml#$ROOT/deploy/prometheus/rules/*.yaml#" -e "s/alertmanager:9093/$ALERTMANAGER_BIND/" \
        -e "s/ingest:9090/$INGEST_BIND/" -e "s/api:8080/$API_BIND/" \
        "$ROOT/docker/observe/prometheus.yml" >"$home/prometheus.yml"
    start "$PROMETHEUS_BIN/prometheus" --config.file="$home/prometheus.yml" --storage.tsdb.path="$home/prometheus" \
        --web.listen-address="$PROMETHEUS_BIND" --web.local-assets="$(dirname "$PROMETHEUS_BIN")/share/prometheus/web/"
    start "$PROMETHEUS_BIN/prometheus-alertmanager" --config.file="$ROOT/deploy/prometheus/alertmanager.yaml" \
        --storage.path="$home/alertmanager" --web.listen-address="$ALERTMANAGER_BIND" --cluster.listen-address=
    repeat 60 anomalies "$BIN/analytics-jobs" anomalies
    repeat 120 audit "$BIN/analytics-ingest" audit
    repeat 120 verify "$BIN/analytics-jobs" verify
    GRAFANA_URL="not started: grafana-server is not installed"
    if ! command -v grafana-server >/dev/null; then return; fi
    if [[ " ${own_servers[*]} " == *" postgres "* ]]; then
        start_grafana "$home/grafana"
        GRAFANA_URL=http://$GRAFANA_BIND/dashboards
    else
        # A server of somebody else is not given roles.
        GRAFANA_URL="not started: it reads a private PostgreSQL only"
    fi
}

# Runs a job again and again, with pauses of some seconds and a log of this name, until it is stopped by SIGTERM. A run
# that fails, as one of verify that finds a difference, is followed by others.
repeat() {
    local pause=$1 log=$2
    shift 2
    # shellcheck disable=SC2016
    start_as "$log" bash -c '
        pause=$1
        shift
        trap '\''kill "$!"; wait "$!"; exit'\'' TERM
        while :; do
            "$@" & wait "$!"
            sleep "$pause" & wait "$!"
        done' repeat "$pause" "$@"
}

# Reads the database by the role of readers.
start_grafana() {
    local address=${DATABASE_URL#*@}
    "$BIN/analytics-jobs" roles --apply >&2
    GRAFANA_BIND=$(bind 3000)
    export ANALYTICS_PROMETHEUS=http://$PROMETHEUS_BIND ANALYTICS_DASHBOARDS=$ROOT/deploy/grafana/dashboards
    export ANALYTICS_POSTGRES=${address%%/*} ANALYTICS_POSTGRES_DATABASE=${address#*/}
    export ANALYTICS_POSTGRES_USER=analytics_reader ANALYTICS_POSTGRES_PASSWORD='' ANALYTICS_POSTGRES_SSLMODE=disable
    export GF_PATHS_DATA=$1 GF_PATHS_LOGS=$1 GF_PATHS_PROVISIONING=$ROOT/deploy/grafana/provisioning
    export GF_SERVER_HTTP_ADDR=127.0.0.1 GF_SERVER_HTTP_PORT=${GRAFANA_BIND#*:} GF_AUTH_ANONYMOUS_ENABLED=true
    start grafana-server --homepath "${GRAFANA_HOME:-/usr/share/grafana}"
}

# Prints where they are.
observers() {
    # Debian's Alertmanager has no pages, and its Prometheus the classic ones.
    echo "  Prometheus         http://$PROMETHEUS_BIND/classic/alerts"
    echo "  Alertmanager       http://$ALERTMANAGER_BIND/api/v2/alerts"
    echo "  Grafana            $GRAFANA_URL"
}
