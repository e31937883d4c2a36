"""One evaluation of drift: the predictions recorded since the last one go through the detector,
and the day's verdict is recorded. Any number of processes may ask; each prediction counts once.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from routing_ml.drift import ALPHA, WINDOW, Baseline, DriftDetector
from routing_ml.store import Detector, Store

PAGE_ROWS = 50_000


def evaluate(
    store: Store,
    model: str,
    baseline: Baseline,
    *,
    day: date,
    window: int = WINDOW,
    alpha: float = ALPHA,
) -> dict[str, Any]:
    """Take in the scores that `model` (the one in use) gave since last time; returns the status.

    `day` is the day, in the factory's time zone, that the verdict is for. Another model than last
    time, or a reset, begins with an empty window and no drift days. All of it is one transaction.
    """
    with store.transaction():
        saved = store.detector()
        if saved is None:
            saved = Detector(model, 1, 0, None)
        elif saved.model != model:
            saved = Detector(model, saved.epoch + 1, saved.last_prediction, None)
        if saved.state is None:
            detector = DriftDetector(baseline, window=window, alpha=alpha)
        else:
            detector = DriftDetector.restore(baseline, saved.state, window=window, alpha=alpha)
        last = saved.last_prediction
        while page := store.predictions_after(last, model=model, limit=PAGE_ROWS):
            last = page[-1][0]
            detector.update_many(
                [score for _, _, score, _ in page],
                items=[item for _, item, _, _ in page],
                at=datetime.fromtimestamp(page[-1][3], UTC),
            )
        now = Detector(model, saved.epoch, last, detector.state())
        store.save_detector(now, detector.status(), day=day)
        return store.drift_status()
