"""A gate's verdict as JUnit XML, which CI systems show beside tests: a rule is a test case. A rule without enough
evidence is skipped, since it neither held nor broke; the command's exit status says it, too."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from evals.core.gate_words import VERDICTS, Row


def junit(name: str, rows: Sequence[Row]) -> bytes:
    """``name``: of the gate and the runs. What XML cannot hold (control characters) is left out."""
    counts = {
        "tests": str(len(rows)),
        "failures": str(sum(row.verdict == "fail" for row in rows)),
        "errors": "0",
        "skipped": str(sum(row.verdict == "undecided" for row in rows)),
    }
    suites = Element("testsuites", counts)
    suite = SubElement(suites, "testsuite", {"name": legal(name), **counts, "time": "0"})
    for row in rows:
        case = SubElement(
            suite,
            "testcase",
            {"classname": legal(name), "name": legal(f"{row.label} {row.rule_text}"), "time": "0"},
        )
        if row.verdict != "pass":
            kind = "failure" if row.verdict == "fail" else "skipped"
            told = SubElement(case, kind, {"message": legal(row.why)})
            if kind == "failure":
                told.set("type", VERDICTS[row.verdict])
        SubElement(case, "system-out").text = legal(
            f"baseline {row.baseline_text}, candidate {row.candidate_text}, {row.change_text}"
            f" ({row.interval_text}), {row.pairs} pairs. {row.why}"
        )
    indent(suites)
    return bytes(tostring(suites, encoding="utf-8", xml_declaration=True)) + b"\n"


def legal(text: str) -> str:
    """Without what XML 1.0 forbids, escaped or not."""
    return "".join(
        one for one in text if one in "\t\n\r" or (" " <= one <= "\ud7ff") or "\ue000" <= one not in "\ufffe\uffff"
    )
