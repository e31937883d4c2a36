"""The units of measure that an item master may state, and what one of each is."""

from collections.abc import Mapping

MM_PER: Mapping[str, float] = {
    **dict.fromkeys(
        ("MM", "MILLIMETER", "MILLIMETRE", "밀리", "밀리미터", "ミリ", "毫米", "مم"), 1.0),
    **dict.fromkeys(("CM", "CENTIMETER", "CENTIMETRE", "센티", "厘米", "سم"), 10.0),
    **dict.fromkeys(("M", "METER", "METRE", "미터", "米"), 1000.0),
    **dict.fromkeys(
        ("INCH", "INCHES", "IN", "IN.", '"', "''", "”", "″", "′′", "ZOLL", "POUCE", "POLLICE",
         "PULGADA", "POLEGADA", "인치", "インチ", "英寸", "ДЮЙМ"), 25.4),
    **dict.fromkeys(("FT", "FEET", "FOOT", "FUSS", "피트"), 304.8),
    **dict.fromkeys(("UM", "ΜM", "MICRON"), 0.001),
    "MIL": 0.0254,
}  # fmt: skip
KG_PER: Mapping[str, float] = {
    **dict.fromkeys(("KG", "KGS", "킬로그램", "公斤"), 1.0),
    **dict.fromkeys(("G", "GR", "GRAM", "그램", "克"), 0.001),
    **dict.fromkeys(("T", "TON", "톤", "吨"), 1000.0),
    **dict.fromkeys(("LB", "LBS", "POUND"), 0.45359237),
    **dict.fromkeys(("OZ",), 0.028349523125),
}
BAR_PER: Mapping[str, float] = {"BAR": 1.0, "MPA": 10.0, "KPA": 0.01, "PSI": 0.0689475729}
KINDS = (MM_PER, KG_PER, BAR_PER)
FACTORS: Mapping[str, float] = {**KG_PER, **MM_PER, **BAR_PER}
"""Unit -> how many millimetres, kilograms or bar one of it is."""
