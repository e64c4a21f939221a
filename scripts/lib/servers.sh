# Starts a private PostgreSQL and a private Apache Kafka, on loopback only.
# shellcheck shell=bash
# start_postgres DIR and start_kafka DIR set DATABASE_URL and KAFKA_BROKER; start_pgbouncer DIR puts a PgBouncer in
# front of the database of DATABASE_URL and sets it to that; stop_servers stops the servers that they started.

KAFKA_PID=
PGBOUNCER_PID=
POSTGRES_PID=

# Creates and prints the folder for a server's data: in .local, which git ignores, or in /var/tmp if this
# runs as root and the user postgres has no access to the checkout. PostgreSQL does not run as root.
server_dir() {
    local dir=$ROOT/.local/$1
    if [ "$(id -u)" = 0 ] && ! setpriv --reuid=postgres --regid=postgres --init-groups test -x "$ROOT" 2>/dev/null; then
        dir=/var/tmp/analytics-$(printf '%s' "$ROOT" | cksum | cut -d' ' -f1)/$1
    fi
    mkdir -p "$dir"
    printf '%s' "$dir"
}

free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 12000))
        if ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s' "$port"
            return
        fi
    done
    die "no free port"
}

# Runs a program as postgres if this is root, since PostgreSQL refuses to run as root. Uses exec, so that
# the program has the process id of the caller's subshell and can be stopped by it.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"
    else
        exec "$@"
    fi
}

wait_for() {
    local what=$1 pid=$2 log=$3 deadline=$((SECONDS + 60))
    shift 3
    until "$@" >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || { cat "$log" >&2; die "$what did not start"; }
        [ $SECONDS -lt $deadline ] || { cat "$log" >&2; die "$what did not answer within a minute"; }
        sleep 0.2
    done
}

start_postgres() {
    local dir=$1 bin port
    bin=$(postgres_bin) || die "PostgreSQL is not installed"
    port=$(free_port)
    if [ "$(id -u)" = 0 ]; then chown postgres "$dir"; fi
    if [ ! -s "$dir/data/PG_VERSION" ]; then
        (as_postgres "$bin/initdb" -D "$dir/data" -U analytics --auth=trust --encoding=UTF8 --locale=C.UTF-8) >"$dir/initdb.log" 2>&1 ||
            { cat "$dir/initdb.log" >&2; die "initdb failed"; }
    fi
    # The timezone is not that of the machine, by which initdb configures it.
    (as_postgres "$bin/postgres" -D "$dir/data" -p "$port" -k '' -c listen_addresses=127.0.0.1 -c timezone=UTC) \
        >"$dir/log" 2>&1 &
    POSTGRES_PID=$!
    wait_for PostgreSQL $! "$dir/log" "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"
    DATABASE_URL=postgresql://analytics@127.0.0.1:$port/postgres
    export DATABASE_URL
}

# In transaction mode, for every database and every role of the server.
start_pgbouncer() {
    local dir=$1 port server=${DATABASE_URL##*:}
    port=$(free_port)
    # PgBouncer refuses to run as root, and the user postgres may have no access to the checkout.
    cp "$ROOT/.local/pgbouncer/pgbouncer" "$dir/pgbouncer"
    echo '"analytics" ""' >"$dir/users.txt"
    cat >"$dir/pgbouncer.ini" <<INI
[databases]
* = host=127.0.0.1 port=${server%%/*}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = trust
auth_file = $dir/users.txt
auth_user = analytics
auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = \$1
pool_mode = transaction
default_pool_size = 10
server_idle_timeout = 5
max_client_conn = 2000
max_prepared_statements = 200
ignore_startup_parameters = extra_float_digits, options
INI
    if [ "$(id -u)" = 0 ]; then chown -R postgres "$dir"; fi
    (as_postgres "$dir/pgbouncer" "$dir/pgbouncer.ini") >"$dir/log" 2>&1 &
    PGBOUNCER_PID=$!
    wait_for PgBouncer $! "$dir/log" bash -c ": </dev/tcp/127.0.0.1/$port"
    DATABASE_URL=postgresql://analytics@127.0.0.1:$port/postgres
    export DATABASE_URL
}

# Fetches the version KAFKA_VERSION, or that of scripts/kafka/pom.xml.
fetch_kafka() {
    local jars=$ROOT/.local/kafka-jars${KAFKA_VERSION:+-$KAFKA_VERSION}
    if [ ! -e "$jars/complete" ]; then
        step "fetching Apache Kafka ${KAFKA_VERSION:-} from Maven Central (54 MB)" mvn -q -B -f scripts/kafka/pom.xml \
            dependency:copy-dependencies -DoutputDirectory="$jars" ${KAFKA_VERSION:+"-Dkafka.version=$KAFKA_VERSION"}
        touch "$jars/complete"
    fi
    KAFKA_CLASSPATH=$jars/'*'
}

kafka_java() {
    exec java -Xms128m -Xmx768m -XX:+UseG1GC -Dlog4j2.configurationFile="$ROOT/scripts/kafka/log4j2.properties" \
        -cp "$KAFKA_CLASSPATH" "$@"
}

start_kafka() {
    local dir=$1 port controller
    fetch_kafka
    port=$(free_port)
    controller=$(free_port)
    cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
auto.create.topics.enable=false
num.partitions=4
# Events of recorded streams are older than any retention time.
log.retention.ms=-1
message.max.bytes=4194304
group.initial.rebalance.delay.ms=${KAFKA_JOIN_DELAY_MS:-0}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
PROPERTIES
    if [ ! -e "$dir/data/meta.properties" ]; then
        (kafka_java kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qk -c "$dir/server.properties") >"$dir/format.log" 2>&1 ||
            { cat "$dir/format.log" >&2; die "Kafka's storage could not be formatted"; }
    fi
    (kafka_java kafka.Kafka "$dir/server.properties") >"$dir/log" 2>&1 &
    KAFKA_PID=$!
    wait_for Kafka $! "$dir/log" bash -c ": </dev/tcp/127.0.0.1/$port"
    KAFKA_BROKER=127.0.0.1:$port
    export KAFKA_BROKER
}

# Stops these processes by SIGTERM, and after 12 s by SIGKILL.
stop_processes() {
    local pid deadline=$((SECONDS + 12))
    for pid in "$@"; do kill "$pid" 2>/dev/null || true; done
    for pid in "$@"; do
        while kill -0 "$pid" 2>/dev/null && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
        kill -9 "$pid" 2>/dev/null || true
    done
}

stop_servers() {
    # At SIGTERM, PostgreSQL would wait until the last client disconnects; at SIGINT it does not.
    if [ -n "$POSTGRES_PID" ]; then kill -INT "$POSTGRES_PID" 2>/dev/null || true; fi
    stop_processes ${KAFKA_PID:+"$KAFKA_PID"} ${PGBOUNCER_PID:+"$PGBOUNCER_PID"} ${POSTGRES_PID:+"$POSTGRES_PID"}
    KAFKA_PID=
    PGBOUNCER_PID=
    POSTGRES_PID=
}
