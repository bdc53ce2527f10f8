#!/bin/sh
# Builds the image without a container engine: image.sh DIRECTORY
# DIRECTORY/root is its root file system, DIRECTORY/oci an OCI layout with it as the one layer. Needs root (the volume
# belongs to user 2000), musl-gcc and Rust's target for musl. The same commit and toolchain give the same bytes.
set -eu
cd "$(dirname "$0")/.."
out=$1
target=$(uname -m)-unknown-linux-musl
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH="$epoch" CARGO_INCREMENTAL=0
# Paths of the build machine stay out of the binary.
export RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$PWD=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
cargo build --locked --release --bin conclave --target "$target" --target-dir target/image-build
rm -rf "$out/root" "$out/oci"
bundle=${CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}
deploy/image-root.sh "target/image-build/$target/release/conclave" "$bundle" "$out/root"

blobs=$out/oci/blobs/sha256
mkdir -p "$blobs"
# Puts standard input into the layout under its digest, and says digest and size.
blob() {
    cat >"$out/oci/new"
    sum=$(sha256sum <"$out/oci/new" | cut -d' ' -f1)
    size=$(wc -c <"$out/oci/new")
    mv "$out/oci/new" "$blobs/$sum"
    printf '"digest": "sha256:%s", "size": %s' "$sum" "$size"
}
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
tar --create --sort=name --numeric-owner --mtime="@$epoch" --format=gnu -C "$out/root" . >"$out/layer.tar"
diff_id=$(sha256sum <"$out/layer.tar" | cut -d' ' -f1)
layer=$(gzip -n -9 <"$out/layer.tar" | blob)
rm "$out/layer.tar"
config=$(blob <<EOF
{"created": "$created", "architecture": "$arch", "os": "linux",
 "config": {"User": "2000:2000", "Entrypoint": ["/bin/conclave"], "Volumes": {"/var/lib/conclave": {}},
  "ExposedPorts": {"4180/tcp": {}, "4181/tcp": {}, "4183/tcp": {}, "44180/tcp": {}},
  "Labels": {"org.opencontainers.image.title": "conclave", "org.opencontainers.image.licenses": "Apache-2.0"}},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$diff_id"]},
 "history": [{"created": "$created", "created_by": "deploy/image.sh"}]}
EOF
)
manifest=$(blob <<EOF
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
 "config": {"mediaType": "application/vnd.oci.image.config.v1+json", $config},
 "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", $layer}]}
EOF
)
cat >"$out/oci/index.json" <<EOF
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
 "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", $manifest,
  "annotations": {"org.opencontainers.image.ref.name": "latest"}}]}
EOF
echo '{"imageLayoutVersion": "1.0.0"}' >"$out/oci/oci-layout"
echo "$out/oci: $manifest"
