#!/usr/bin/env bash
# The nightly job of a shop: score new conversions, store the day's summary, and if something drifted refit the model and
# replace it, provided that the refit meets the criteria on days that it was not fitted on. A night that lacks something,
# such as a channel, ends with 3 and refits nothing: what to do is on standard error.
#
#   15 3 * * *  /srv/shop/nightly.sh >> /srv/shop/logs/out.txt 2>> /srv/shop/logs/jobs.jsonl
#
# Once, by hand, the first champion:
#   attribution run nightly.toml --out runs/first
#   attribution export runs/first --model markov --name shop --to models/shop --alias champion
#
# Standard error has one JSON object per line. Exit codes: 0 done, 2 the input is wrong, 3 the verdict is negative (the
# refit was not promoted, or days are out of date), 4 try again later, 1 a fault of the package. Credentials come from the
# environment and are never written to a log, e.g.
#   MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
set -euo pipefail

shop="${SHOP:-/srv/shop}"
export ATTRIBUTION_LOG=json
cd "$shop"

# Each day by the version that is in effect on it.
attribution score models:/shop@champion --touchpoints "log/touchpoints/*.parquet" \
    --conversions "log/conversions/*.parquet" --out scored

# Days whose journeys have changed are written again, so the next night makes up for a missed one.
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
        # The last two weeks are left for the judgement. A promotion restates nothing: it is in effect from today on.
        attribution refit summaries --days 90 --through "$(date -u -d '14 days ago' +%F)" \
            --champion models:/shop@champion --out runs/refit
        attribution promote shop --challenger runs/refit --holdout nightly.toml \
            --set "period.start=$(date -u -d '13 days ago' +%F)" --requested-by nightly
        ;;
    *) exit "$code" ;;
esac
