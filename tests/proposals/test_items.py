"""Files of items as people have them: what each cell becomes, and what is said of the rest."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models_factory import factory

from routing_ml import models
from routing_ml.errors import InputError
from routing_ml.models import RoutingModel
from routing_ml.proposals import Items, read_items
from routing_ml.source import Columns

COLUMNS = Columns.load()
