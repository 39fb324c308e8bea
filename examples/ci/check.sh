#!/usr/bin/env bash
# Any other continuous integration: a shell, Python, and the exit code.
# 0 the data pass, 1 a rule is broken, 2 something could not be judged.
set -uo pipefail

# What is installed, by a commit or a hash: a bare name would be whoever takes it in a package index.
: "${DATAAUDIT:=dataaudit @ git+https://<host>/<owner>/dataaudit@<commit>}"
python -m pip install "$DATAAUDIT" || exit 2
audit check \
  --output junit=audit.xml \
  --output html=audit.html \
  --output json=audit.json
code=$?

# To keep a report without failing the build: audit check --exit-zero.
# To fail only on rows that are new or changed since the accepted data: --base accepted/train.parquet.
# To name the rows of a public report by a key of yours, set DATAAUDIT_BASELINE_KEY as a secret variable.
exit "$code"
