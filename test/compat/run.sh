#!/usr/bin/env bash
# `npm run test:compat`: psql, PyIceberg and DuckDB's Iceberg extension against a real server.
# Arguments go to vitest, such as a part of a file name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
node scripts/setup.js
. test/compat/setup.sh
exec vitest run --config vitest.compat.config.ts "$@"
