#!/usr/bin/env bash
# The nightly job of a shop: score new conversions, store the day's summary, and refit the model if something drifted.
#
#   15 3 * * *  /srv/shop/nightly.sh >> /srv/shop/logs/out.txt 2>> /srv/shop/logs/jobs.jsonl
#
# Standard error has one JSON object per line. Exit codes: 0 done, 2 the input is wrong, 3 the verdict is negative,
# 4 try again later, 1 a fault of the package. Credentials come from the environment and are never written to a log, e.g.
#   MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
set -euo pipefail

shop="${SHOP:-/srv/shop}"
export ATTRIBUTION_LOG=json
cd "$shop"

attribution score models/shop --touchpoints "log/touchpoints/*.parquet" --conversions "log/conversions/*.parquet" \
    --out scored

# Days whose journeys have changed are written again, so the next night makes up for a missed one.
attribution summarise nightly.toml --to summaries

code=0
attribution monitor summaries --recent-days 7 --training-days 90 --costs nightly.toml --out runs/monitor || code=$?
case "$code" in
    0) ;;
    3) attribution refit summaries --days 90 --refresh models/shop --out runs/refit ;;
    *) exit "$code" ;;
esac
