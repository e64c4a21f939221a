# Shared by the scripts: paths, messages, and the installation of what they need.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}
BIN=$CARGO_TARGET_DIR/release

say() { if [ -t 2 ]; then printf '\033[1m== %s\033[0m\n' "$*" >&2; else printf '== %s\n' "$*" >&2; fi; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Runs a step quietly and prints a dot every 5 seconds. Prints its output only if it fails.
step() {
    local title=$1 log pid started=$SECONDS
    shift
    log=$(mktemp)
    printf '== %s ' "$title" >&2
    "$@" >"$log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        if ((SECONDS % 5 == 0)); then printf '.' >&2; fi
    done
    if wait "$pid"; then
        printf ' done in %d s\n' $((SECONDS - started)) >&2
        rm -f "$log"
    else
        printf ' FAILED\n' >&2
        cat "$log" >&2
        rm -f "$log"
        die "$title failed"
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "root or sudo is needed to run: $*"
    fi
}

java_17() {
    command -v java >/dev/null && [ "$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')" -ge 17 ] 2>/dev/null
}

# The folder of PostgreSQL's programs: POSTGRES_BIN, or that of the newest version of the machine.
postgres_bin() {
    local found=${POSTGRES_BIN:-}
    [ -n "$found" ] || found=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
    [ -n "$found" ] && [ -x "$found/initdb" ] && printf '%s' "$found"
}

# Installs missing packages and tools: those of the build; with "servers" as first argument also those
# of the private PostgreSQL and Kafka; further arguments are additional Debian packages.
install_missing() {
    local missing=()
    for package in "${@:2}" build-essential pkg-config libssl-dev libpq-dev zlib1g-dev ca-certificates curl; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    if [ "${1:-}" = servers ]; then
        if ! postgres_bin >/dev/null; then missing+=(postgresql); fi
        command -v mvn >/dev/null || missing+=(maven)
        if ! java_17; then
            if [ -n "$(apt-cache search '^openjdk-17-jre-headless$')" ]; then
                missing+=(openjdk-17-jre-headless)
            else
                missing+=(default-jre-headless)
            fi
        fi
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        install_debian "${missing[@]}"
    fi
    PATH=$HOME/.cargo/bin:$PATH
    if ! command -v cargo >/dev/null; then
        say "installing Rust with rustup for this user"
        curl --proto '=https' --tlsv1.2 -fsS https://sh.rustup.rs -o "${TMPDIR:-/tmp}/rustup-init.sh"
        step "rustup" sh "${TMPDIR:-/tmp}/rustup-init.sh" -y --profile minimal --default-toolchain none
        rm -f "${TMPDIR:-/tmp}/rustup-init.sh"
    fi
    if ! cargo --version >/dev/null 2>&1; then
        step "installing the Rust toolchain of rust-toolchain.toml" rustup toolchain install
    fi
}

# Python's venv module, for the tools that are installed into a virtual environment.
install_python_venv() {
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        install_debian python3 python3-venv
    fi
}

install_debian() {
    command -v apt-get >/dev/null || die "apt-get is not available; install these packages first: $*"
    say "installing Debian packages: $*"
    step "apt-get update" as_root apt-get update -q
    step "apt-get install" as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# A client that tests the API by its OpenAPI document.
install_schemathesis() {
    local venv=$ROOT/.local/schemathesis version=4.32.5
    if [ "$(cat "$venv/version" 2>/dev/null)" != $version ]; then
        install_python_venv
        rm -rf "$venv"
        step "creating a Python environment" python3 -m venv "$venv"
        step "installing schemathesis" "$venv/bin/pip" install -q "schemathesis==$version"
        echo $version >"$venv/version"
    fi
}

# Linters of OpenAPI documents and generators of clients, in the versions listed next to the tests that
# use them.
install_openapi_tools() {
    local tools=$ROOT/.local/openapi lists=$ROOT/crates/analytics-api/tests/clients
    if ! cat "$lists"/package-lock.json "$lists"/requirements.txt | cmp -s - "$tools/complete"; then
        install_python_venv
        command -v npm >/dev/null || install_debian nodejs npm
        rm -rf "$tools"
        mkdir -p "$tools"
        cp "$lists"/package.json "$lists"/package-lock.json "$tools"
        step "installing OpenAPI tools for Node" npm --prefix "$tools" ci --silent --no-audit --no-fund
        step "creating a Python environment" python3 -m venv "$tools/venv"
        step "installing OpenAPI tools for Python" "$tools/venv/bin/pip" install -q -r "$lists/requirements.txt"
        cat "$lists"/package-lock.json "$lists"/requirements.txt >"$tools/complete"
    fi
}

# install_npm_packages WHAT TOOLS LISTS installs the packages of LISTS/package-lock.json into TOOLS, once for each
# version of that file.
install_npm_packages() {
    local what=$1 tools=$2 lists=$3
    if cmp -s "$lists/package-lock.json" "$tools/complete"; then return; fi
    command -v npm >/dev/null || install_debian nodejs npm
    rm -rf "$tools"
    mkdir -p "$tools"
    cp "$lists"/package.json "$lists"/package-lock.json "$tools"
    step "installing $what" npm --prefix "$tools" ci --silent --no-audit --no-fund
    cp "$lists/package-lock.json" "$tools/complete"
}

# Chromium and its driver, and a web server in front of the API, for the tests of the dashboard; and axe,
# which finds what is hard to use for people with disabilities.
install_browser() {
    local tools=$ROOT/.local/browser lists=$ROOT/crates/analytics-api/tests/browser missing=()
    command -v chromium >/dev/null || missing+=(chromium)
    command -v chromedriver >/dev/null || missing+=(chromium-driver)
    # A user's PATH may be without /usr/sbin.
    PATH=$PATH:/usr/sbin command -v nginx >/dev/null || missing+=(nginx-light)
    if [ ${#missing[@]} -gt 0 ]; then install_debian "${missing[@]}"; fi
    install_npm_packages axe "$tools" "$lists"
}

# An OpenID provider, which issues the tokens of OAUTHBEARER in tests.
install_oidc_provider() {
    local tools=$ROOT/.local/oidc lists=$ROOT/crates/analytics-ingest/tests/oidc
    install_npm_packages "an OpenID provider" "$tools" "$lists"
    cp "$lists/provider.mjs" "$tools"
}

# libfaketime, which gives a single process a wrong clock.
install_faketime() {
    dpkg-query -W -f '${Status}' libfaketime 2>/dev/null | grep -q 'ok installed' || install_debian libfaketime
}

# PgBouncer in a version that supports prepared statements in transaction mode; that of Debian 12 does
# not.
install_pgbouncer() {
    local version=1.24.1 sum=da72a3aba13072876d055a3e58dd4aba4a5de4ed6148e73033185245598fd3e0
    local home=$ROOT/.local/pgbouncer
    if [ "$(cat "$home/version" 2>/dev/null)" != $version ]; then
        dpkg-query -W -f '${Status}' libevent-dev 2>/dev/null | grep -q 'ok installed' || install_debian libevent-dev
        rm -rf "$home"
        mkdir -p "$home"
        step "fetching PgBouncer $version" curl -sSfL --retry 3 -o "$home/source.tar.gz" \
            "http://deb.debian.org/debian/pool/main/p/pgbouncer/pgbouncer_$version.orig.tar.gz"
        echo "$sum  $home/source.tar.gz" | sha256sum --check --status || die "the downloaded sources of PgBouncer have an unexpected checksum"
        tar -xzf "$home/source.tar.gz" -C "$home" --strip-components 1
        step "building PgBouncer $version" sh -c "cd '$home' && ./configure --without-cares --disable-evdns && make pgbouncer"
        echo $version >"$home/version"
    fi
}

# Prometheus, promtool and Alertmanager, unpacked into .local/prometheus, so that no service of the machine is
# started. Debian's Alertmanager finds its templates only in /usr/share.
install_prometheus() {
    local home=$ROOT/.local/prometheus
    PROMETHEUS_BIN=$home/usr/bin
    if [ -e "$home/complete" ] && [ -e /usr/share/prometheus/alertmanager/default.tmpl ]; then return; fi
    command -v apt-get >/dev/null || die "apt-get is needed to fetch Prometheus"
    apt-cache show prometheus >/dev/null 2>&1 || step "apt-get update" as_root apt-get update -q
    rm -rf "$home"
    mkdir -p "$home"
    step "fetching Prometheus and Alertmanager (33 MB)" fetch_prometheus "$home"
    as_root mkdir -p /usr/share/prometheus
    as_root cp -r "$home/usr/share/prometheus/alertmanager" /usr/share/prometheus/
    touch "$home/complete"
}

fetch_prometheus() (
    set -e
    cd "$1"
    # The scripts and fonts of Prometheus's own pages are packages of their own.
    mapfile -t pages < <(apt-cache depends --important prometheus | sed -nE 's/^ *Depends: ((libjs|fonts)-.*)/\1/p')
    # Lists of packages that are old name versions that are gone.
    apt-get download -q prometheus prometheus-alertmanager libjs-d3 "${pages[@]}" || {
        as_root apt-get update -q
        apt-get download -q prometheus prometheus-alertmanager libjs-d3 "${pages[@]}"
    }
    for package in *.deb; do dpkg-deb -x "$package" .; done
    rm -- *.deb
)

# Builds all binaries, or those of the given packages.
build_release() {
    local packages=()
    for package in "$@"; do packages+=(--package "$package"); done
    step "building release binaries (takes minutes the first time)" cargo build --release --bins --locked "${packages[@]}"
}
