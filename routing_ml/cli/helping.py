"""What `--help` says of each command beside its options: how it is typed, the settings it reads."""

import textwrap

SOURCE = ("ROUTING_ML_SOURCE", "ROUTING_ML_COLUMNS", "ROUTING_ML_TIMEZONE")
AWAY = ("ROUTING_ML_SOURCE_AWAY", "ROUTING_ML_SOURCE_WAIT")
STATE = ("ROUTING_ML_HOME", "ROUTING_ML_STORE_URL")
MODELS = ("ROUTING_ML_HOME",)
BACKUPS = ("ROUTING_ML_HOME", "ROUTING_ML_BACKUPS")
BOT = (
    *("ROUTING_ML_SLACK_ADMINS", "ROUTING_ML_AIRFLOW_URL"),
    *("ROUTING_ML_AIRFLOW_USER", "ROUTING_ML_AIRFLOW_PASSWORD"),
)

COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "check": (("check", "check --source erp.accdb --columns columns.toml"), SOURCE),
    "extract": (("extract --out data", "extract --out data --as-of 2026-11-01"), SOURCE),
    "audit": (("audit data", "audit data --offenders rows.csv"), ("ROUTING_ML_NULL_GATE",)),
    "train": (("train data", "train data --candidate forest"), MODELS),
    "evaluate": (("evaluate model_20261101_020311 data",), MODELS),
    "retrain": (
        ("retrain", "retrain --candidates forest,boosted --promotion never"),
        (*STATE, *SOURCE, *AWAY, "ROUTING_ML_NULL_GATE", "SLACK_WEBHOOK_URL"),
    ),
    "replay": (
        ("replay --from 2024-11", "replay --from 2024-11 --months 24 --retrain monthly"),
        ("ROUTING_ML_HOME", *SOURCE),
    ),
    "predict": (
        ("predict --out proposals.xlsx", "predict --item-cd 2S12346BR --top 3"),
        (*STATE, *SOURCE, *AWAY),
    ),
    "explain": (
        ("explain 2S12346BR", "explain NEW-1 --items new.xlsx --quantity 50"),
        (*STATE, *SOURCE, *AWAY),
    ),
    "models": (("models",), MODELS),
    "history": (("history", "history --limit 5 --json"), (*MODELS, "ROUTING_ML_TIMEZONE")),
    "promote": (("promote model_20261101_020311 --why 'looked at and accepted'",), STATE),
    "rollback": (("rollback --why 'grinding is proposed too often'",), STATE),
    "prune": (("prune",), STATE),
    "backup": (("backup",), (*STATE, *BACKUPS[1:], *SOURCE[:2], "SLACK_WEBHOOK_URL")),
    "backups": (("backups", "backups --from /mnt/backups"), BACKUPS),
    "restore": (
        ("restore --dry-run", "restore --only store", "restore --into /srv/routing_ml"),
        (*STATE, *BACKUPS[1:], *SOURCE[:1]),
    ),
    "quality": (("quality", "quality --out page.html"), (*STATE, *SOURCE, "SLACK_WEBHOOK_URL")),
    "live status": (("live status",), STATE),
    "live judge": (("live judge",), (*STATE, *SOURCE, *AWAY)),
    "slack-bot": (
        ("slack-bot", "slack-bot --healthy"),
        (*STATE, "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", *BOT),
    ),
    "drift status": (("drift status",), STATE),
    "drift evaluate": (("drift evaluate",), (*STATE, "ROUTING_ML_TIMEZONE")),
    "drift summary": (("drift summary --days 30",), (*STATE, "ROUTING_ML_TIMEZONE")),
    "drift reset": (("drift reset --why 'a new product line is known'",), STATE),
}
"""Of each command its examples, without the name of the program, and the settings that it reads."""
PREDICT = (
    "a proposal has a row an operation: its times in minutes, with a band that four of five fall "
    "into; CONFIDENCE that the whole routing is right; RES_LIKELIHOOD of the machine and "
    "RES_OTHERS; OUTSIDE where a subcontractor does it; NOTE what else is to be known; NOVELTY and "
    "NEW_TO_MODEL how much of the item no past item had, and which columns"
)


def epilog(command: str, width: int = 79) -> str:
    """What stands below the options of a command, such as `drift reset`.

    >>> print(epilog("models"))
    examples:
      routing-ml models
    <BLANKLINE>
    settings: ROUTING_ML_HOME
    """
    examples, settings = COMMANDS[command]
    said = [textwrap.fill(PREDICT, width)] if command == "predict" else []
    said.append("\n".join(["examples:", *(f"  routing-ml {example}" for example in examples)]))
    listed = f"settings: {', '.join(dict.fromkeys(settings))}"
    said.append(textwrap.fill(listed, width, break_on_hyphens=False, subsequent_indent="  "))
    return "\n\n".join(said)
