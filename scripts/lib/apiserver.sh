# A Kubernetes API server without nodes, for the drill `install`. Built from the Go module, since there is no
# package of it: about fifteen minutes of processor time, once.
# shellcheck shell=bash disable=SC2153

KUBERNETES_VERSION=1.37.2
ETCD_VERSION=v3.6.13
APISERVER=$ROOT/.local/apiserver

install_apiserver() {
    if [ "$(cat "$APISERVER/complete" 2>/dev/null)" = "$KUBERNETES_VERSION $ETCD_VERSION" ]; then return; fi
    rm -rf "$APISERVER"
    mkdir -p "$APISERVER/kube" "$APISERVER/etcd"
    step "building etcd $ETCD_VERSION" build_etcd
    step "building the API server of Kubernetes $KUBERNETES_VERSION (takes minutes)" build_apiserver
    rm -rf "$APISERVER/go" "$APISERVER/kube" "$APISERVER/etcd"
    echo "$KUBERNETES_VERSION $ETCD_VERSION" >"$APISERVER/complete"
}

apiserver_go() {
    GOPATH=$APISERVER/go GOFLAGS=-modcacherw nice -n 10 go "$@"
}

build_etcd() (
    set -e
    cd "$APISERVER/etcd"
    printf 'module etcd\n\ngo 1.26.0\n\nrequire go.etcd.io/etcd/server/v3 %s\n' "$ETCD_VERSION" >go.mod
    cat >main.go <<'GO'
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
GO
    apiserver_go mod tidy
    apiserver_go build -o ../etcd-server .
)

build_apiserver() (
    set -e
    cd "$APISERVER/kube"
    cat >main.go <<'GO'
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
GO
    # The module names its own parts by folders; published, they have versions of their own.
    parts=$(apiserver_go mod download -json "k8s.io/kubernetes@v$KUBERNETES_VERSION" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
    {
        printf 'module apiserver\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v%s\n\nreplace (\n' "$KUBERNETES_VERSION"
        awk -v version="v0.${KUBERNETES_VERSION#1.}" '$2 == "=>" && $3 ~ /^\.\/staging/ { print "\t" $1 " => " $1 " " version }' "$parts"
        echo ')'
    } >go.mod
    apiserver_go mod tidy
    apiserver_go build -ldflags "-X k8s.io/component-base/version.gitVersion=v$KUBERNETES_VERSION \
        -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37" -o ../kube-apiserver .
)

# Starts the server and makes a namespace that enforces restricted Pod Security. Sets KUBECONFIG.
start_apiserver() {
    local dir=$1 etcd peer port
    etcd=$(free_port) peer=$(free_port) port=$(free_port)
    "$APISERVER/etcd-server" --data-dir "$dir/etcd" --listen-client-urls "http://127.0.0.1:$etcd" \
        --advertise-client-urls "http://127.0.0.1:$etcd" --listen-peer-urls "http://127.0.0.1:$peer" >"$dir/etcd.log" 2>&1 &
    APISERVER_PIDS+=($!)
    openssl genrsa -out "$dir/service-accounts.key" 2048 2>/dev/null
    echo 'drill,admin,1,"system:masters"' >"$dir/tokens.csv"
    "$APISERVER/kube-apiserver" --etcd-servers "http://127.0.0.1:$etcd" --bind-address 127.0.0.1 --secure-port "$port" \
        --cert-dir "$dir/certificates" --service-account-issuer https://kubernetes.example --service-cluster-ip-range 10.0.0.0/24 \
        --service-account-key-file "$dir/service-accounts.key" --service-account-signing-key-file "$dir/service-accounts.key" \
        --token-auth-file "$dir/tokens.csv" --authorization-mode RBAC --disable-admission-plugins ServiceAccount \
        >"$dir/apiserver.log" 2>&1 &
    APISERVER_PIDS+=($!)
    export KUBECONFIG=$dir/kubeconfig
    cat >"$KUBECONFIG" <<KUBECONFIG
apiVersion: v1
kind: Config
clusters: [{name: drill, cluster: {server: "https://127.0.0.1:$port", insecure-skip-tls-verify: true}}]
users: [{name: drill, user: {token: drill}}]
contexts: [{name: drill, context: {cluster: drill, user: drill, namespace: analytics}}]
current-context: drill
KUBECONFIG
    wait_for "the API server" $! "$dir/apiserver.log" "$KUBECTL" get --raw /readyz
    "$KUBECTL" create namespace analytics >/dev/null
    "$KUBECTL" label namespace analytics pod-security.kubernetes.io/enforce=restricted >/dev/null
}

# There are no controllers: this one ends the Jobs of hooks, which Helm waits for.
complete_hooks() {
    local job now
    while sleep 1; do
        for job in $("$KUBECTL" get jobs -o name | grep -- '-migrate$'); do
            now=$(date -u +%FT%TZ)
            "$KUBECTL" patch "$job" --subresource=status --type=merge -p "{\"status\": {
                \"startTime\": \"$now\", \"completionTime\": \"$now\", \"succeeded\": 1, \"conditions\": [
                {\"type\": \"SuccessCriteriaMet\", \"status\": \"True\", \"lastTransitionTime\": \"$now\", \"lastProbeTime\": \"$now\"},
                {\"type\": \"Complete\", \"status\": \"True\", \"lastTransitionTime\": \"$now\", \"lastProbeTime\": \"$now\"}]}}"
        done
    done >/dev/null 2>&1
}
