#!/usr/bin/env bash
# What a shop does every night: score the new conversions, keep the day's summary, and fit the model anew if it drifted.
# A night that lacks something, such as a channel, ends with 3 and fits nothing: what to do is on standard error.
#
#   15 3 * * *  /srv/shop/nightly.sh >> /srv/shop/logs/out.txt 2>> /srv/shop/logs/jobs.jsonl
#
# Standard error is one JSON object per line. Exit codes: 0 done, 2 the input is wrong, 3 the verdict is negative,
# 1 anything else. Credentials come from the environment and are never written to a log, e.g.
#   MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
set -euo pipefail

shop="${SHOP:-/srv/shop}"
export ATTRIBUTION_LOG=json
cd "$shop"

attribution score models/shop --touchpoints "log/touchpoints/*.parquet" --conversions "log/conversions/*.parquet" \
    --out scored

# Days whose journeys have changed since are written again, so a night that was missed is made up for.
attribution summarise nightly.toml --to summaries

mkdir -p runs
code=0
attribution monitor summaries --recent-days 7 --training-days 90 --costs nightly.toml --out runs/monitor --json \
    > runs/monitor.json || code=$?
case "$code" in
    0) ;;
    3)
        # A model is not fitted on days that lack something.
        grep -q '"guards_hold": true' runs/monitor.json || exit 3
        attribution refit summaries --days 90 --refresh models/shop --out runs/refit
        ;;
    *) exit "$code" ;;
esac
