# A broker with TLS, SASL and permissions, and a PostgreSQL with TLS, for the drill `encrypted`.
# shellcheck shell=bash

# Certificates in WORK/tls: an authority, a server's for localhost, a client's, and an authority that nobody knows.
make_certificates() {
    local tls=$WORK/tls name
    mkdir -p "$tls"
    for name in ca stranger; do
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$name" -keyout "$tls/$name.key" -out "$tls/$name.crt" 2>/dev/null
    done
    for name in server client; do
        openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$tls/$name.key" -out "$tls/$name.csr" 2>/dev/null
        openssl x509 -req -in "$tls/$name.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" -CAcreateserial -days 2 \
            -extfile <(echo "subjectAltName=DNS:localhost") -out "$tls/$name.crt" 2>/dev/null
    done
    cat "$tls/server.key" "$tls/server.crt" >"$tls/server.pem"
}

# Starts a broker with three listeners: one without encryption for this script, one for SASL_SSL, and one for
# clients with a certificate. Only the user of the first one may do everything.
start_secure_kafka() {
    local dir=$WORK/secure-kafka controller
    fetch_kafka
    mkdir -p "$dir"
    INTERNAL_PORT=$(free_port) SASL_PORT=$(free_port) MTLS_PORT=$(free_port)
    controller=$(free_port)
    cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=INTERNAL://127.0.0.1:$INTERNAL_PORT,SASL://127.0.0.1:$SASL_PORT,MTLS://127.0.0.1:$MTLS_PORT,CONTROLLER://127.0.0.1:$controller
advertised.listeners=INTERNAL://127.0.0.1:$INTERNAL_PORT,SASL://localhost:$SASL_PORT,MTLS://localhost:$MTLS_PORT
listener.security.protocol.map=INTERNAL:PLAINTEXT,SASL:SASL_SSL,MTLS:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INTERNAL
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.mtls.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location=$WORK/tls/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$WORK/tls/ca.crt
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs=$dir/data
auto.create.topics.enable=false
log.retention.ms=-1
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
PROPERTIES
    (kafka_java kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qk -c "$dir/server.properties" \
        --add-scram 'SCRAM-SHA-512=[name=analytics,password=a-password]') >"$dir/format.log" 2>&1 ||
        { cat "$dir/format.log" >&2; die "Kafka's storage could not be formatted"; }
    (kafka_java kafka.Kafka "$dir/server.properties") >"$dir/log" 2>&1 &
    KAFKA_PID=$!
    wait_for Kafka $! "$dir/log" bash -c ": </dev/tcp/127.0.0.1/$INTERNAL_PORT"
    export KAFKA_BROKER=127.0.0.1:$INTERNAL_PORT
}

# Adds or removes permissions: acl --add --allow-principal User:u --operation Read --topic t
acl() {
    (kafka_java org.apache.kafka.tools.AclCommand --bootstrap-server "127.0.0.1:$INTERNAL_PORT" --force "$@") >>"$WORK/acl.log" 2>&1
}

# The permissions that docs/operations/kafka.md names.
permit() {
    acl --add --allow-principal "$1" --operation Read --operation Describe \
        --topic user.registered --topic product.viewed --topic order.created --topic rating.updated
    acl --add --allow-principal "$1" --operation Read --operation Describe --group analytics-ingest
}

# A cluster whose user needs TLS and a password, and that has a certificate for localhost.
start_secure_postgres() {
    local data=$WORK/primary/data
    new_cluster primary "ssl=on" "ssl_cert_file='server.crt'" "ssl_key_file='server.key'"
    cp "$WORK/tls/server.crt" "$WORK/tls/server.key" "$data"
    chmod 600 "$data/server.key"
    if [ "$(id -u)" = 0 ]; then chown postgres "$data/server.crt" "$data/server.key"; fi
    start_cluster primary
    query "ALTER ROLE analytics PASSWORD 'secret'" >/dev/null
    echo "hostssl all all 127.0.0.1/32 scram-sha-256" >"$data/pg_hba.conf"
    kill -HUP "$POSTGRES_PID"
    DATABASE_URL="postgresql://analytics:secret@localhost:${DATABASE_URL##*:}?sslmode=verify-full&sslrootcert=$WORK/tls/ca.crt"
}

# Starts ingest with a broker's port and properties, and expects that it counts N events in all.
expect_counted() {
    start_secured "$2" "$3"
    await_counted "$1"
    stop_service
}

# The same, and expects that it waits, and never writes the password.
expect_refused() {
    start_secured "$1" "$2"
    sleep 20
    [ -n "$(reason)" ] || { tail -5 "$WORK/secured.log" >&2; die "ingest does not say why it waits"; }
    if curl -fsS "http://127.0.0.1:$(cat "$WORK/secured.port")/health/ready" >/dev/null 2>&1; then die "ingest says that it is ready"; fi
    kill -0 "${PROCESSES[secured]}" 2>/dev/null || die "ingest has ended instead of waiting"
    if grep -q 'a-password\|another-password' "$WORK/secured.log"; then die "the password is in the log"; fi
    stop_service
}

# What ingest says that it waits for.
reason() { sed -n 's/.*waiting: //p' "$WORK/secured.log" | tail -1; }

start_secured() {
    : >"$WORK/secured.log"
    KAFKA_BROKER=localhost:$1 KAFKA_PROPERTIES=$2 start_ingest secured
}
