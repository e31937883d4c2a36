"""Ends with code 0 when a part of Airflow is at work: `health.py scheduler`.

The API server is asked, since Airflow's own `airflow jobs check` takes seconds of a core each time.
"""

import json
import sys
import urllib.request

URL = "http://airflow-api-server:8080/api/v2/monitor/health"

# A proxy of the environment must not be asked for a neighbour.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(URL, timeout=8) as answer:
    status = json.load(answer)[sys.argv[1]]["status"]
if status != "healthy":
    sys.exit(f"{sys.argv[1]} is {status}")
