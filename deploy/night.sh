#!/usr/bin/env bash
# The night's job, for cron or any scheduler: night.sh FOLDER LOG [DAY]
#
#   FOLDER  with clv.toml (columns, model) and mlflow.db; scores and the messages of the night go there
#   LOG     files, a glob in quotes, or the address of a data base, as `clvml predict` takes it
#   DAY     the last day that counts, YYYY-MM-DD; default: yesterday
#
# Scores every night; where DAY is the last of a month, it trains before. Exit code: that of clvml. A champion that stays (3) is no
# failure. What a run printed is in FOLDER/night.log.
set -euo pipefail
folder=$1 log=$2 day=${3:-$(date -d yesterday +%F)}
cd "$folder"
exec >>night.log 2>&1
echo "== $(date -u +%FT%TZ) up to $day"

if [[ $(date -d "$day + 1 day" +%d) == 01 ]]; then
    clvml train "$log" --as-of "$day" --register clv || { code=$?; ((code == 3)) || exit "$code"; }
fi
clvml predict "$log" --as-of "$day" --model models:/clv@champion --out scores.parquet --redact
