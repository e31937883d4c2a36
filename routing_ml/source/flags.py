"""What an ERP writes in a column that says yes or no."""

NO = frozenset(("", "N", "NO", "0", "0.0", "F", "FALSE", "-", "NEIN", "아니오"))
OUTSIDE = NO | {
    "O", "OUT", "OUTSIDE", "EXTERNAL", "EXTERN", "E", "SUBCONTRACT", "SUBCONTRACTED", "FREMD",
    "외주", "사외", "外協", "外注", "委外",
}  # fmt: skip


def says_yes(value: str | None) -> bool:
    """Whether a flag is set: anything but a no of `NO`, in whatever case; a missing one is not."""
    return value is not None and value.strip().upper() not in NO


def says_outside(value: str | None) -> bool:
    """Whether the flag `inside` says that an operation is done elsewhere: any no, or a word of
    `OUTSIDE`; a missing one does not."""
    return value is not None and value.strip() != "" and value.strip().upper() in OUTSIDE
