"""What the key figures are counted from: how retrainings ended and whether a person had to act,
what became of drift alarms, how long a new model took.

Each is counted once, however often a task is tried, cleared or killed: what is known of a run or an
alarm is a row, never forgotten (some twenty a year), and the totals move with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from datetime import date, timedelta
from typing import NamedTuple

from routing_ml import clock
from routing_ml.store.records import Records

CAUSES = ("schedule", "drift", "hand", "other")
HANDS = ("trigger", "clear", "answer", "promote", "rollback")
ALARM_OUTCOMES = ("confirmed", "false", "dismissed")
SINCE = ("alarm", "advice")
RESPONSE_BUCKETS_SECONDS = (3600.0, 6 * 3600.0, 86400.0, 3 * 86400.0, 7 * 86400.0, 30 * 86400.0)
# Alarms of a model that are no further apart are one.
ALARM_DAYS = 7


class Retraining(NamedTuple):
    """What is counted of a retraining: one of CAUSES, how it ended, what a person did for it."""

    cause: str
    succeeded: bool
    hands: frozenset[str]


class Alarm(NamedTuple):
    """A drift alarm: of which watch, when it was on, when it first called for a retraining, what it
    was found to be by which run, and when a new model answered it. Its fields are the columns of
    the table."""

    id: int
    watch: str
    began_at: float
    last_at: float
    last_day: str
    advised_at: float | None
    outcome: str | None
    run: str | None
    judged_at: float | None
    answered_at: float | None


class KeyFigures(Records):
    """The part of the store that counts for the key figures; each method is a part of its caller's
    transaction."""

    def count_retraining(
        self, run: str, *, cause: str, succeeded: bool, hands: Collection[str], ended_at: float
    ) -> None:
        """Count how a retraining ended; a second time moves the totals.

        `cause` is one of CAUSES, `hands` what a person did for it, of HANDS: what was done for a
        run stays.
        """
        before = self._retraining(run)
        mine = set(hands) | ({"trigger"} if cause == "hand" else set())
        known = before.hands if before else frozenset()
        after = Retraining(cause, succeeded, known | mine)
        self._move(before, after)
        self.add({("hands", what): 1 for what in sorted(mine - known)})
        self.database.run(
            "INSERT INTO retrainings (run, ended_at, cause, succeeded, hands)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (run) DO UPDATE SET ended_at = excluded.ended_at,"
            " cause = excluded.cause, succeeded = excluded.succeeded, hands = excluded.hands",
            (run, ended_at, cause, int(succeeded), ",".join(sorted(after.hands))),
        )

    def known_retraining(self, run: str) -> bool | None:
        """Whether that run succeeded, as far as is known; None where it was never counted."""
        found = self._retraining(run)
        return None if found is None else found.succeeded

    def count_switch(self, switch: str, *, action: str, at: float) -> None:
        """Count a promotion or rollback by hand, by the id of the switch.

        The retraining before it needed that hand. An alarm that nobody had judged is dismissed; of
        one that a retraining had confirmed the promotion is the answer.
        """
        with self.transaction():
            if not self.claim("switch", switch):
                return
            what = "rollback" if action == "rollback" else "promote"
            self.add({("hands", what): 1})
            found = self.database.rows(
                "SELECT run FROM retrainings WHERE ended_at <= ? ORDER BY ended_at DESC LIMIT 1",
                (at,),
            )
            if found:
                run = found[0][0]
                before = self._retraining(run)
                assert before is not None
                after = before._replace(hands=before.hands | {what})
                self._move(before, after)
                self.database.run(
                    "UPDATE retrainings SET hands = ? WHERE run = ?",
                    (",".join(sorted(after.hands)), run),
                )
            alarm = self._alarm()
            if alarm is None or alarm.began_at > at:
                return
            if alarm.outcome is None:
                self._judge(alarm, "dismissed", run=None, at=at)
            elif alarm.outcome == "confirmed" and what == "promote":
                self._answer(alarm, at)

    def note_alarm(self, *, watch: str, on: bool, advised: bool, day: date, at: float) -> None:
        """Take in an evaluation of `day`: whether the alarm is on, and calls for a retraining.
        `watch` names what was watched: another model, or a watch that began anew, is another.

        One that has not been on for a week, and that no retraining has judged, was false.
        """
        alarm = self._alarm()
        lasting = day - timedelta(days=ALARM_DAYS - 1)
        over = alarm is None or date.fromisoformat(alarm.last_day) < lasting
        if alarm is not None and alarm.outcome is None:
            same = alarm.watch == watch
            if over or (on and not same):
                self._judge(alarm, "false" if same else "dismissed", run=None, at=at)
        if not on:
            return
        if alarm is None or over or alarm.watch != watch:
            self.database.run(
                "INSERT INTO alarms (watch, began_at, last_at, last_day) VALUES (?, ?, ?, ?)",
                (watch, at, at, day.isoformat()),
            )
            alarm = self._alarm()
            assert alarm is not None
        self.database.run(
            "UPDATE alarms SET last_at = ?, last_day = ?, advised_at = ? WHERE id = ?",
            (at, day.isoformat(), alarm.advised_at or (at if advised else None), alarm.id),
        )
        self._show_alarm()

    def judge_alarm(
        self, run: str, *, better: bool, promoted: bool, as_of: float, at: float
    ) -> None:
        """Say by a retraining what the last alarm was: confirmed where it found a `better` model,
        false where it did not.

        It judges what began before the moment whose data it read. A second time it may say
        otherwise; a later run may confirm an alarm that went on although an earlier one had found
        it false. `at` is when the model was put into use, where it was `promoted`.
        """
        alarm = self._alarm()
        if alarm is None or alarm.began_at > as_of:
            return
        went_on = (
            better
            and alarm.outcome == "false"
            and alarm.run is not None
            and alarm.judged_at is not None
            and alarm.last_at > alarm.judged_at
        )
        outcome = alarm.outcome
        if outcome is None or alarm.run == run or went_on:
            outcome = "confirmed" if better else "false"
            self._judge(alarm, outcome, run=run, at=at)
        if promoted and outcome == "confirmed":
            self._answer(alarm, at)

    def dismiss_alarm(self) -> None:
        """A person reset the watch: what the alarm was nobody knows."""
        alarm = self._alarm()
        if alarm is not None and alarm.outcome is None:
            self._judge(alarm, "dismissed", run=None, at=clock.seconds())

    def _retraining(self, run: str) -> Retraining | None:
        found = self.database.rows(
            "SELECT cause, succeeded, hands FROM retrainings WHERE run = ?", (run,)
        )
        if not found:
            return None
        cause, succeeded, hands = found[0]
        return Retraining(cause, bool(succeeded), frozenset(filter(None, hands.split(","))))

    def _move(self, before: Retraining | None, after: Retraining) -> None:
        """Take a retraining out of the totals as it was, and put it in as it is."""
        for known, one in ((before, -1), (after, 1)):
            if known is not None:
                outcome = "success" if known.succeeded else "failure"
                self.add({("retrain_ended", f"{known.cause}/{outcome}"): one})
                if known.succeeded and not known.hands:
                    self.add({("retrain_unattended", ""): one})

    def _alarm(self) -> Alarm | None:
        """The last alarm, None before the first."""
        columns = ", ".join(Alarm._fields)
        sql = f"SELECT {columns} FROM alarms ORDER BY id DESC LIMIT 1"  # noqa: S608 - our fields
        found = self.database.rows(sql)
        return Alarm(*found[0]) if found else None

    def _judge(self, alarm: Alarm, outcome: str, *, run: str | None, at: float) -> None:
        counts = {("drift_alarms", outcome): 1.0}
        if alarm.outcome is not None:
            if alarm.outcome == outcome:
                return
            counts["drift_alarms", alarm.outcome] = -1.0
        self.add(counts)
        self.database.run(
            "UPDATE alarms SET outcome = ?, run = ?, judged_at = ? WHERE id = ?",
            (outcome, run, at, alarm.id),
        )
        self._show_alarm()

    def _answer(self, alarm: Alarm, at: float) -> None:
        """Count how long it took until a new model was in use, once an alarm."""
        if alarm.answered_at is not None:
            return
        for since, began in zip(SINCE, (alarm.began_at, alarm.advised_at), strict=True):
            if began is None:
                continue
            seconds = max(at - began, 0.0)
            bucket = bisect_left(RESPONSE_BUCKETS_SECONDS, seconds)
            self.add(
                {
                    ("drift_response_bucket", f"{since}/{bucket}"): 1,
                    ("drift_response_seconds", since): seconds,
                }
            )
        self.database.run("UPDATE alarms SET answered_at = ? WHERE id = ?", (at, alarm.id))

    def _show_alarm(self) -> None:
        """Leave the alarm that waits for a verdict where a reader finds it."""
        alarm = self._alarm()
        shown = None
        if alarm is not None and alarm.outcome is None:
            shown = {"began_at": alarm.began_at, "advised_at": alarm.advised_at}
        self.set_fact("drift_alarm", shown)
