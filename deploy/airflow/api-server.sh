# shellcheck shell=sh
# Airflow's API server. SimpleAuthManager takes passwords from a file alone, which it must be able
# to write; the file is made anew at each start and lives in memory.
set -eu
umask 077
python - > "$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE" <<'PYTHON'
import json
import os

users = {name: name.upper().replace("-", "_") for name in ("admin", "planner", "slack-bot")}
print(json.dumps({user: os.environ[f"AIRFLOW_{name}_PASSWORD"] for user, name in users.items()}))
PYTHON
unset AIRFLOW_ADMIN_PASSWORD AIRFLOW_PLANNER_PASSWORD AIRFLOW_SLACK_BOT_PASSWORD
exec airflow api-server
