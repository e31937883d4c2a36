# shellcheck shell=sh
# Makes or updates the tables of Airflow and of the monitoring store.
set -eu
airflow db migrate
python - <<'PYTHON'
from routing_ml.settings import Settings
from routing_ml.store import Store

Store(Settings.from_env().store_url).close()
PYTHON
