"""Reports for a person: one HTML page that needs no network, and a summary for the terminal.

In: a staged or published generation's folder and its metrics. Out: a frozen `Report`, `report.html`, plain text.
Promises: every text is escaped, the page makes no request, documents' texts are read only where they are shown, secrets in
the configuration are masked, and what is sampled or left out is said on the page.
"""

from transforms.reports.changes import changes_line
from transforms.reports.documents import Document, passage_label
from transforms.reports.groups import Group, Member
from transforms.reports.html import render_html
from transforms.reports.options import ReportOptions
from transforms.reports.points import MapPoints
from transforms.reports.redaction import safe_text, without_secrets
from transforms.reports.summary import Pairs, Quarantined, QuarantineReason, Recall, Report, Stage, Topic, read_report
from transforms.reports.text import clean, fit, terminal_summary
from transforms.reports.write import ReportRecord, ReportTask, write_report

__all__ = [
    "Document",
    "Group",
    "MapPoints",
    "Member",
    "Pairs",
    "QuarantineReason",
    "Quarantined",
    "Recall",
    "Report",
    "ReportOptions",
    "ReportRecord",
    "ReportTask",
    "Stage",
    "Topic",
    "changes_line",
    "clean",
    "fit",
    "passage_label",
    "read_report",
    "render_html",
    "safe_text",
    "terminal_summary",
    "without_secrets",
    "write_report",
]
