#!/usr/bin/env bash
# Makes report.png and campaign-map.png: the report and the map of the demo.
# Usage: make demo && docs/images/make_report.sh   (needs chromium)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
trainspot report silicon -o demo/report.html
trainspot map silicon -o docs/images/campaign-map.png --colour iteration
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1000,1570 \
  --screenshot="$PWD/docs/images/report.png" "file://$PWD/demo/report.html"
