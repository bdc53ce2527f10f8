#!/bin/sh
# Lays the image's root file system: image-root.sh BINARY CA-BUNDLE DIRECTORY
# Made apart from the Dockerfile, so that it can be run under chroot without a container engine. Every file gets the
# time of the commit (SOURCE_DATE_EPOCH), and the list of what the binary was built of lies beside it.
set -eu
binary=$1 bundle=$2 root=$3
mkdir -p "$root/bin" "$root/etc/ssl/certs" "$root/etc/oauth2_proxy" "$root/usr/share/conclave" "$root/var/lib/conclave" "$root/tmp"
# Debug information makes most of the size, and that of C code names folders of the build machine.
strip --strip-debug -o "$root/bin/conclave" "$binary"
chmod 0755 "$root/bin/conclave"
ln -sf conclave "$root/bin/oauth2-proxy"
install -m 0644 "$bundle" "$root/etc/ssl/certs/ca-certificates.crt"
echo "conclave:x:2000:2000::/:/bin/conclave" >"$root/etc/passwd"
echo "conclave:x:2000:" >"$root/etc/group"
sbom=$(dirname "$0")/sbom.sh
"$sbom" >"$root/usr/share/conclave/sbom.spdx.json"
chmod 1777 "$root/tmp"
# Only root can, and a container build is root.
chown 2000:2000 "$root/var/lib/conclave"
chmod 0700 "$root/var/lib/conclave"
find "$root" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +
