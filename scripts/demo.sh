#!/usr/bin/env bash
# A whole campaign on this machine: set-up, run, status, report, export.
# Usage: scripts/demo.sh demo|demo-quick   (results go into the folder of that name)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=$1
source_folder="examples/${name/#demo/silicon}"
mkdir -p "$name"
cp -R "$source_folder/." "$name/"
rm -rf "$name/export"
began=$SECONDS

if [[ $name == demo ]]; then
  trainspot setup --demo-pseudos
else  # labelled by tblite: no need to bring Quantum ESPRESSO
  trainspot setup --demo-pseudos --no-install
fi
cd "$name"
trainspot check campaign.yaml
trainspot run campaign.yaml --wait
campaign=$(sed -n 's/^name: *//p' campaign.yaml)
trainspot status "$campaign" --json > status.json
trainspot status "$campaign"
trainspot report "$campaign" -o report.html
trainspot export "$campaign" -o export
cat <<END

Done in $((SECONDS - began)) seconds. In $name/:
  campaign.yaml   what was asked for; edit it and run: trainspot run $name/campaign.yaml --wait
  status.json     what happened, for programs
  report.html     what happened, for people: open it in a browser
  export/         the committee, the labelled dataset, the calibration, the model card
Run 'make $name' again: what is labelled and trained comes from the cache.
For your own material: trainspot init STRUCTURE… -o campaign.yaml
END
