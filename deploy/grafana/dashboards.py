"""Writes the Grafana dashboards, a JSON file each, into the folder that Grafana reads.

script/dashboards [--out DIR]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

OUT = Path(__file__).resolve().parent / "dashboards"
PROMETHEUS = models.DataSourceRef(type_val="prometheus", uid="prometheus")
TAG = "routing-ml"
DAY_SECONDS = 86400

# (from this value on, color); the first color holds for everything below the second.
Steps = Sequence[tuple[float | None, str]]
NEUTRAL: Steps = [(None, "blue")]
ZERO_IS_GOOD: Steps = [(None, "green"), (1, "red")]
ONE_IS_GOOD: Steps = [(None, "red"), (1, "green")]
KL: Steps = [(None, "green"), (0.3, "yellow"), (0.5, "orange"), (1.0, "red")]
NULLS: Steps = [(None, "green"), (0.05, "yellow"), (0.5, "orange")]
ACCURACY: Steps = [(None, "red"), (0.85, "green")]
ERRORS: Steps = [(None, "green"), (0.01, "red")]
RETRAIN_AGE: Steps = [(None, "green"), (31 * DAY_SECONDS, "yellow"), (35 * DAY_SECONDS, "red")]
BACKUP_AGE: Steps = [(None, "green"), (26 * 3600, "red")]
MOST_SUCCEED: Steps = [(None, "red"), (0.8, "yellow"), (0.95, "green")]
MOST_ALONE: Steps = [(None, "red"), (0.5, "yellow"), (0.9, "green")]
SCRAPES: Steps = [(None, "red"), (0.99, "green")]
# One false alarm in twenty weeks is what the test promises.
FALSE_ALARMS: Steps = [(None, "green"), (3, "yellow"), (4, "red")]
WITHIN_A_DAY: Steps = [(None, "green"), (DAY_SECONDS, "red")]
WATCH_AGE: Steps = [(None, "green"), (2 * 3600, "yellow"), (3 * 3600, "red")]
JUDGED_AGE: Steps = [(None, "green"), (26 * 3600, "yellow"), (3 * DAY_SECONDS, "red")]

YES_NO = {0: "no", 1: "yes"}

Panel = stat.Panel | timeseries.Panel | table.Panel
P = TypeVar("P", stat.Panel, timeseries.Panel, table.Panel)


def figure(
    title: str,
    says: str,
    expr: str,
    *,
    unit: str = "short",
    steps: Steps = NEUTRAL,
    words: Mapping[int, str] | None = None,
    name: str = "",
) -> stat.Panel:
    """A figure as it is now. `words` stand in for values; with `name` the labels are shown
    instead, coloured by the value."""
    panel = _described(stat.Panel(), title, says, unit, steps).span(4).height(4)
    panel.with_target(_query(expr, name).instant())
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.color_mode(options.BigValueColorMode.VALUE).graph_mode(options.BigValueGraphMode.NONE)
    panel.no_value("none yet")
    if words:
        texts = {str(v): models.ValueMappingResult(text=text) for v, text in words.items()}
        panel.mappings([models.ValueMap(options=texts)])
    if name:
        panel.text_mode(options.BigValueTextMode.NAME)
    return panel


def course(
    title: str,
    says: str,
    *queries: tuple[str, str],
    unit: str = "short",
    steps: Steps = NEUTRAL,
    most: float | None = None,
) -> timeseries.Panel:
    """Values over time, (expression, legend) each; where there are several steps they are drawn."""
    panel = _described(timeseries.Panel(), title, says, unit, steps).span(12).height(8)
    for ref, (expr, legend) in zip("ABCDEF", queries, strict=False):
        panel.with_target(_query(expr, legend).ref_id(ref).range())
    style = options.GraphThresholdsStyleMode
    drawn = style.DASHED if len(steps) > 1 else style.OFF
    panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(drawn))
    panel.tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI))
    panel.fill_opacity(10).min(0)
    return panel if most is None else panel.max(most)


def listing(
    title: str,
    says: str,
    expr: str,
    *columns: str,
    value: str,
    unit: str = "short",
    steps: Steps = NEUTRAL,
    least_first: bool = False,
) -> table.Panel:
    """A row for each series as it is now, the largest value first, or the least: the labels
    `columns`, then its value under the name `value`, coloured."""
    panel = _described(table.Panel(), title, says, "", steps).span(12).height(14)
    panel.with_target(_query(expr).format(PromQueryFormat.TABLE).instant())
    order = {name: place for place, name in enumerate((*columns, "Value"))}
    names = {"Value": value}
    shown = {"includeByName": dict.fromkeys(order, True), "indexByName": order}
    panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize", options={**shown, "excludeByName": {}, "renameByName": names}
        )
    )
    colored = {"type": "color-background", "mode": "basic"}
    panel.override_by_name(
        value,
        [
            models.DynamicConfigValue("unit", unit),
            models.DynamicConfigValue("custom.cellOptions", colored),
        ],
    )
    panel.align(options.FieldTextAlignment.AUTO).inspect(False)
    order_by = common.TableSortByFieldState().display_name(value).desc(not least_first)
    return panel.sort_by([order_by])


def dashboard(uid: str, title: str, says: str, since: str, *panels: Panel) -> models.Dashboard:
    """The panels side by side in their order, with links to the other dashboards."""
    built = (
        builders.Dashboard(title)
        .uid(uid)
        .description(says)
        .tags([TAG])
        .timezone("browser")
        .refresh("1m")
        .time(since, "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("Routing ML")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .keep_time(True)
        )
    )
    for number, panel in enumerate(panels, start=1):
        built.with_panel(panel.id(number))
    return built.build()


def overview() -> models.Dashboard:
    """Whether all is well, and what is asked of it."""
    return dashboard(
        "routing-ml-overview",
        "Routing ML: overview",
        "Whether all is well: the exporter, the model in use, what it proposes, what alerts.",
        "now-24h",
        figure(
            "Exporter",
            "Whether Prometheus reaches the exporter.",
            'up{job="exporter"}',
            steps=ONE_IS_GOOD,
            words={0: "down", 1: "up"},
        ),
        figure(
            "Store",
            "Whether the exporter can read the monitoring store; /api/drift/status says why not.",
            "routing_ml_up",
            steps=ONE_IS_GOOD,
            words={0: "unreadable", 1: "readable"},
        ),
        figure(
            "Alerts",
            "How many alerts are firing.",
            'count(ALERTS{alertstate="firing"}) or vector(0)',
            steps=ZERO_IS_GOOD,
        ),
        figure(
            "Model in use",
            "The version that proposes; 'routing-ml models' lists all.",
            "routing_ml_model_info",
            name="{{model}}",
        ),
        figure(
            "Accuracy",
            "Held-out items whose routing the model in use gets exactly; 85 % are expected.",
            "routing_ml_model_accuracy",
            unit="percentunit",
            steps=ACCURACY,
        ),
        figure(
            "Last good retraining",
            "How long ago; it is due every month.",
            "time() - routing_ml_retrain_last_success_timestamp_seconds",
            unit="s",
            steps=RETRAIN_AGE,
        ),
        course(
            "Predictions",
            "Items a second that a routing was proposed for, over 5 minutes.",
            ("routing_ml:predictions:rate5m", "{{instance}}"),
            unit="reqps",
        ),
        course(
            "Seconds an item",
            "Quantiles of the time that a proposal took, over an hour; empty where none was made. "
            "A batch counts with its mean.",
            ("routing_ml:prediction_latency_seconds:quantile1h", "p{{quantile}}"),
            unit="s",
        ),
        course(
            "Proposals by confidence",
            "Over the last day: high from .8, medium from .5.",
            ("increase(routing_ml_proposals_total[1d])", "{{confidence}}"),
        ),
        course(
            "Batches of predictions that failed",
            "Over the last day; see the DAG routing_ml_predict in Airflow.",
            ("increase(routing_ml_prediction_failures_total[1d])", "{{instance}}"),
            steps=ZERO_IS_GOOD,
        ),
        course(
            "Requests answered with an error",
            "The fraction of the exporter's answers that were a 5xx, over 5 minutes.",
            ("routing_ml:request_errors:ratio5m", "{{instance}}"),
            unit="percentunit",
            steps=ERRORS,
        ),
        course(
            "Memory of the exporter",
            "Resident; it takes under 40 MiB.",
            ('process_resident_memory_bytes{job="exporter"}', "{{instance}}"),
            unit="bytes",
        ),
        course(
            "Age of the last verified backup",
            "Since it had been restored and read again; one is due every night.",
            ("time() - routing_ml_backup_last_verified_timestamp_seconds", "{{instance}}"),
            unit="s",
            steps=BACKUP_AGE,
        ),
        listing(
            "Alerts that fire",
            "What Prometheus has sent to Alertmanager; lesser ones are muted there.",
            'ALERTS{alertstate="firing"}',
            *("alertname", "severity", "instance", "table", "column"),
            value="firing",
            steps=ZERO_IS_GOOD,
        ),
    )


def drift() -> models.Dashboard:
    """Whether new items still resemble the past ones."""
    return dashboard(
        "routing-ml-drift",
        "Routing ML: drift",
        "Whether new items still resemble the past ones: the similarity of each new item to its "
        "nearest past item, against that of the items held out at training.",
        "now-30d",
        figure(
            "Drift detected",
            "The alarm: a calibrated test with a promised rate of false alarms.",
            "routing_ml_drift_detected",
            steps=ZERO_IS_GOOD,
            words=YES_NO,
        ),
        figure(
            "Severity",
            "By the KL divergence: minor from 0.3, significant from 0.5, severe from 1.0. "
            "It counts only while drift is detected.",
            "(routing_ml_drift_severity == 1)"
            " * on (instance) group_left routing_ml_drift_kl_divergence",
            steps=KL,
            name="{{severity}}",
        ),
        figure(
            "Retraining advised",
            "From 5 drift days of the last 7, or a KL divergence over 1.0.",
            "routing_ml_retrain_advised",
            steps=ZERO_IS_GOOD,
            words=YES_NO,
        ),
        figure(
            "Drift days",
            "Of the last 7; 5 advise a retraining.",
            "routing_ml_drift_day_verdicts",
            steps=[(None, "green"), (1, "yellow"), (5, "red")],
        ),
        figure(
            "Scores in the window",
            "Looked at by the test, 1,000 at most. The KL of a few is mostly noise.",
            "routing_ml_drift_window_scores",
        ),
        figure(
            "Last evaluation",
            "How long ago; the DAG routing_ml_drift_watch evaluates every hour.",
            "time() - routing_ml_drift_evaluated_timestamp_seconds",
            unit="s",
            steps=WATCH_AGE,
        ),
        course(
            "KL divergence",
            "In nats, of the window from the baseline; lines at 0.3, 0.5 and 1.0.",
            ("routing_ml_drift_kl_divergence", "{{instance}}"),
            steps=KL,
        ),
        course(
            "p-value of the test",
            "It alarms when this falls below the test's level (.0005).",
            ("routing_ml_drift_p_value", "{{instance}}"),
            steps=[(None, "red"), (0.0005, "green")],
            most=1,
        ),
        course(
            "Mean similarity",
            "Of the scores in the window to their nearest past items; falling is what drift looks "
            "like.",
            ("routing_ml_drift_score_mean", "{{instance}}"),
            unit="percentunit",
            most=1,
        ),
        course(
            "Severity over time",
            "1 for the severity that holds.",
            ("routing_ml_drift_severity", "{{severity}}"),
            most=1,
        ),
    )


def quality() -> models.Dashboard:
    """What the audit found in the last extract."""
    return dashboard(
        "routing-ml-quality",
        "Routing ML: data quality",
        "What the audit found in the last extract from the ERP.",
        "now-90d",
        figure(
            "Columns over 5 % NULL",
            "Some are empty by nature; the table below shows which they are.",
            "count(routing_ml_null_ratio > 0.05) or vector(0)",
        ).span(6),
        figure(
            "Rows of items",
            "In the last extract.",
            'routing_ml_extract_rows{table="items"}',
        ).span(6),
        figure(
            "Rows of routings",
            "In the last extract; fewer than 1,000 stop a retraining.",
            'routing_ml_extract_rows{table="routings"}',
            steps=[(None, "red"), (1000, "green")],
        ).span(6),
        figure(
            "Outliers",
            "Values more than three standard deviations off their column's mean.",
            "sum(routing_ml_outliers)",
        ).span(6),
        listing(
            "NULLs by column",
            "The fraction that is NULL or blank, most first. An alert tells of required columns "
            "over 5 %, and of others that were full before.",
            "routing_ml_null_ratio",
            *("table", "column"),
            value="NULL",
            unit="percentunit",
            steps=NULLS,
        ).span(24),
        course(
            "Columns that alert",
            "Required columns over 5 % NULL and others that were full within 40 days. Best empty.",
            (
                "routing_ml_null_ratio and on (instance, table, column)"
                ' ALERTS{alertname="RoutingMLNullRatioHigh"}',
                "{{table}}.{{column}}",
            ),
            unit="percentunit",
            steps=NULLS,
            most=1,
        ),
        course(
            "Rows extracted",
            "By table; a sudden fall tells of a filter or a lost right in the ERP.",
            ("routing_ml_extract_rows", "{{table}}"),
        ),
        course(
            "Findings of the weekly look",
            "By what is wrong; the page in ROUTING_ML_HOME/quality names the items.",
            ("routing_ml_quality_findings", "{{check}}"),
        ),
        listing(
            "Outliers by column",
            "How many values, most first.",
            "routing_ml_outliers",
            "column",
            value="values",
        ),
    )


def retraining() -> models.Dashboard:
    """How retrainings ended, and what the model in use is worth."""
    return dashboard(
        "routing-ml-retraining",
        "Routing ML: retraining",
        "How retrainings ended, and what the model in use is worth on items held out.",
        "now-180d",
        figure(
            "Last retraining",
            "How it ended; the DAG routing_ml_retrain in Airflow has its report.",
            "routing_ml_retrain_last_success",
            steps=ONE_IS_GOOD,
            words={0: "failed", 1: "succeeded"},
        ),
        figure(
            "Last good one",
            "How long ago; it is due every month.",
            "time() - routing_ml_retrain_last_success_timestamp_seconds",
            unit="s",
            steps=RETRAIN_AGE,
        ),
        figure(
            "It took",
            "The last one, from its extract to its report.",
            "routing_ml_retrain_last_duration_seconds",
            unit="s",
        ),
        figure(
            "Succeeded",
            "The fraction of all retrainings that the store knows of.",
            "routing_ml_retrain_success_ratio",
            unit="percentunit",
            steps=MOST_SUCCEED,
        ),
        figure(
            "Model in use",
            "The version; 'routing-ml rollback' goes back to the one before.",
            "routing_ml_model_info",
            name="{{model}}",
        ),
        figure(
            "Its age",
            "Older than the last good retraining where that one was not shown to be better.",
            "routing_ml_model_age_seconds",
            unit="s",
        ),
        course(
            "Accuracy",
            "Held-out items whose routing the model in use gets exactly; the line is at 85 %.",
            ("routing_ml_model_accuracy", "{{instance}}"),
            unit="percentunit",
            steps=ACCURACY,
            most=1,
        ),
        course(
            "Duration",
            "Of the last retraining, at each time.",
            ("routing_ml_retrain_last_duration_seconds", "{{instance}}"),
            unit="s",
        ),
        course(
            "Retrainings",
            "By outcome, all that the store knows of.",
            ("routing_ml_retrain_runs_total", "{{outcome}}"),
        ),
        listing(
            "Metrics of the model in use",
            "On the newest items, which it was not fitted on: fractions, but for the count of "
            "items.",
            "routing_ml_model_metric",
            "metric",
            value="value",
        ),
    )


def live() -> models.Dashboard:
    """How right proposals are, by the routings that planners wrote later."""
    kinds = 'label_replace({}{{by="kind"}}, "kind", "$1", "value", "(.+)")'
    return dashboard(
        "routing-ml-live",
        "Routing ML: live accuracy",
        "How right proposals are: those of the last 28 days by the routings that planners wrote "
        "later, without having seen them.",
        "now-90d",
        figure(
            "Exactly right",
            "Of the last 28 days, by whichever version was in use then; 85 % are expected.",
            'routing_ml_live_accuracy{by="all"}',
            unit="percentunit",
            steps=ACCURACY,
        ),
        figure(
            "At least",
            "The lower end of the interval: from 85 % on it is shown to be good enough.",
            'routing_ml_live_accuracy_low{by="all"}',
            unit="percentunit",
        ),
        figure(
            "At most",
            "The upper end: below 85 % it is shown to be too little, and told of the version in "
            "use.",
            'routing_ml_live_accuracy_high{by="all"}',
            unit="percentunit",
            steps=ACCURACY,
        ),
        figure(
            "Items judged",
            "Of the last 28 days; the fewer, the wider the interval.",
            'routing_ml_live_items{by="all"}',
        ),
        figure(
            "Seen before",
            "Items whose planner had seen a proposal before writing: they count nowhere else, for "
            "what is copied is no witness.",
            'routing_ml_live_items{by="seen"}',
        ),
        figure(
            "Last judged",
            "How long ago planners' routings were last asked; each day they are.",
            "time() - routing_ml_live_judged_timestamp_seconds",
            unit="s",
            steps=JUDGED_AGE,
        ),
        course(
            "Of the last 28 days",
            "Exactly right, and the interval; the line is at 85 %.",
            ('routing_ml_live_accuracy_high{by="all"}', "at most"),
            ('routing_ml_live_accuracy{by="all"}', "exactly right"),
            ('routing_ml_live_accuracy_low{by="all"}', "at least"),
            unit="percentunit",
            steps=ACCURACY,
            most=1,
        ),
        course(
            "Of the version in use",
            "Since it has been, all that was judged; the line is at 85 %.",
            ('routing_ml_live_accuracy_high{by="model"}', "at most, {{value}}"),
            ('routing_ml_live_accuracy{by="model"}', "exactly right, {{value}}"),
            ('routing_ml_live_accuracy_low{by="model"}', "at least, {{value}}"),
            unit="percentunit",
            steps=ACCURACY,
            most=1,
        ),
        course(
            "Stated and right",
            "By band of confidence: how likely to be right proposals were said to be, and how many "
            "were. The two of a band should be near each other.",
            ('routing_ml_live_confidence{by="confidence"}', "stated, {{value}}"),
            ('routing_ml_live_accuracy{by="confidence"}', "right, {{value}}"),
            unit="percentunit",
            most=1,
        ),
        course(
            "Items judged, and seen before",
            "Of the last 28 days, and by the week in which the routing was entered.",
            ('routing_ml_live_items{by="all"}', "judged"),
            ('routing_ml_live_items{by="seen"}', "seen before, counted apart"),
            ('routing_ml_live_items{by="week"}', "{{value}}"),
        ),
        course(
            "Operations, machines, run times",
            "Of the last 28 days: F1 of the operations, machines that are right, and the error of "
            "run times.",
            ('routing_ml_live_operation_f1{by="all"}', "operations"),
            ('routing_ml_live_resource_accuracy{by="all"}', "machines"),
            ('routing_ml_live_run_error{by="all"}', "error of run times"),
            unit="percentunit",
            most=1,
        ),
        course(
            "Right where a planner had seen it",
            "Beside where none had: the difference is what was copied, or what planners ask for.",
            ('routing_ml_live_accuracy{by="seen"}', "seen"),
            ('routing_ml_live_accuracy{by="all"}', "not seen"),
            unit="percentunit",
            most=1,
        ),
        listing(
            "Kinds, worst first",
            "Exactly right by kind of item, of the last 28 days; of few items it says little.",
            kinds.format("routing_ml_live_accuracy"),
            "kind",
            value="exactly right",
            unit="percentunit",
            steps=ACCURACY,
            least_first=True,
        ),
        listing(
            "Kinds, by what is shown",
            "The upper end of the interval: red is shown to be below 85 %, however few its items.",
            kinds.format("routing_ml_live_accuracy_high"),
            "kind",
            value="at most",
            unit="percentunit",
            steps=ACCURACY,
            least_first=True,
        ),
    )


def key_figures() -> models.Dashboard:
    """What is promised, and how much of it was kept."""
    return dashboard(
        "routing-ml-key_figures",
        "Routing ML: key figures",
        "What is promised, and how much of it was kept: of the last 365 days, or of what is known "
        "where that is less.",
        "now-1y",
        figure(
            "Live accuracy",
            "Proposals of the last 28 days that are exactly the routings that planners wrote "
            "without having seen them. Over 85 %.",
            'routing_ml_live_accuracy{by="all"}',
            unit="percentunit",
            steps=ACCURACY,
        ).span(6),
        figure(
            "Retrainings that succeed",
            "Of all, whoever started them, one that was cleared by how it ended at last. At least "
            "95 %.",
            "routing_ml:retrain_success:ratio365d",
            unit="percentunit",
            steps=MOST_SUCCEED,
        ).span(6),
        figure(
            "Retrainings without a hand",
            "Of all, those that the schedule or drift started, that ended well, of which no task "
            "was cleared, and after which nobody switched the model. At least 90 %.",
            "routing_ml:retrain_unattended:ratio365d",
            unit="percentunit",
            steps=MOST_ALONE,
        ).span(6),
        figure(
            "False drift alarms",
            "Alarms after which a retraining found nothing better, or that passed by themselves. "
            "At most 3 a year.",
            'routing_ml:drift_alarms:delta365d{outcome="false"}',
            steps=FALSE_ALARMS,
        ).span(6),
        figure(
            "Scrapes that succeed",
            "Of those of the exporter, over 30 days. Over 99 %.",
            "routing_ml:scrape_success:ratio30d",
            unit="percentunit",
            steps=SCRAPES,
        ).span(8),
        figure(
            "From advice to a new model",
            "Mean time from the evaluation that first called for a retraining until a new model "
            "was in use. Under 24 hours.",
            'routing_ml:drift_response_seconds:avg365d{since="advice"}',
            unit="s",
            steps=WITHIN_A_DAY,
        ).span(8),
        figure(
            "Waiting for one",
            "How long drift has been calling for a retraining that has not judged it yet.",
            "time() - routing_ml_drift_advised_timestamp_seconds",
            unit="s",
            steps=WITHIN_A_DAY,
        ).span(8),
        course(
            "Retrainings",
            "Of the last 365 days, by what started them and how they ended.",
            ("routing_ml:retrain_ended:delta365d", "{{cause}}, {{outcome}}"),
        ),
        course(
            "What people did",
            "In the last 365 days: started a retraining, cleared a task of one, promoted a "
            "version, rolled one back.",
            ("routing_ml:hands:delta365d", "{{action}}"),
        ),
        course(
            "Drift alarms",
            "Of the last 365 days: confirmed by a better model, false, or dismissed by a reset or "
            "a switch by hand before a retraining could judge.",
            ("routing_ml:drift_alarms:delta365d", "{{outcome}}"),
        ),
        course(
            "From drift to a new model",
            "Mean time of the last 365 days, from the first alarm and from the advice; the line is "
            "at 24 hours.",
            ("routing_ml:drift_response_seconds:avg365d", "since the {{since}}"),
            unit="s",
            steps=WITHIN_A_DAY,
        ),
    )


DASHBOARDS = {
    "key_figures": key_figures,
    "overview": overview,
    "live": live,
    "drift": drift,
    "quality": quality,
    "retraining": retraining,
}


def write(out: Path) -> None:
    """Write every dashboard into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    for name, build in DASHBOARDS.items():
        text = json.dumps(build(), cls=JSONEncoder, indent=1, ensure_ascii=False)
        (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _query(expr: str, legend: str = "") -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(expr).ref_id("A").datasource(PROMETHEUS)
    return query.legend_format(legend) if legend else query


def _described(panel: P, title: str, says: str, unit: str, steps: Steps) -> P:
    thresholds = [models.Threshold(value=value, color=color) for value, color in steps]
    absolute = builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(thresholds)
    panel.title(title).description(says).datasource(PROMETHEUS).thresholds(absolute)
    by = models.FieldColorModeId
    mode = by.PALETTE_CLASSIC if isinstance(panel, timeseries.Panel) else by.THRESHOLDS
    panel.color_scheme(builders.FieldColor().mode(mode))
    return panel.unit(unit) if unit else panel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=OUT)
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()
