"""Shows what would be learned from a dataset before anything is, and judges whether its columns
can have been mapped right.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from routing_ml.dataset import frames, seen, time_unit
from routing_ml.dataset.findings import Finding, findings
from routing_ml.dataset.learned import learned
from routing_ml.errors import AuditError


@dataclass(frozen=True)
class Checked:
    """What would be learned (`facts`, as JSON takes them), and what was found in it."""

    facts: Mapping[str, Any]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> list[Finding]:
        """Why the mapping cannot be right."""
        return [finding for finding in self.findings if finding.level == "error"]

    @property
    def withheld(self) -> list[str]:
        """Names of the warnings that nobody has accepted: with one, no model goes into use by
        itself."""
        return list(dict.fromkeys(f.name for f in self.findings if f.withholds))

    @property
    def line(self) -> str:
        """All findings in one line."""
        if not self.findings:
            return "nothing found"
        return "; ".join(f"{label(f)} {f.name}: {f.found}" for f in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """The check as JSON takes it."""
        found = [asdict(finding) for finding in self.findings]
        return {"passed": not self.errors, "withheld": self.withheld, "findings": found} | dict(
            self.facts
        )

    def require(self) -> None:
        """Raise AuditError, every error in one line, where the mapping cannot be right."""
        if self.errors:
            found = "; ".join(f"{finding.name}: {finding.found}" for finding in self.errors)
            raise AuditError(f"this cannot be right: {found}; 'routing-ml check' shows more")


def check(path: Path) -> Checked:
    """Check the dataset at `path`, its folder or its manifest."""
    looked = seen.look(frames.load(path))
    times = time_unit.times(looked.data)
    facts = learned(looked) | {"times": {name: of.as_dict() for name, of in times.items()}}
    return Checked(facts, tuple(findings(looked, times)))


def label(finding: Finding) -> str:
    """The level of a finding, and whether a person has looked at it."""
    return "accepted" if finding.accepted else finding.level
