"""Decisions as files: JSONL, CSV and Label Studio's JSON. Pure: text in, values out and back."""

from textmod_console.exchange import csv_rows, json_lines, label_studio
from textmod_console.exchange.rows import Exported, Format, Given

FORMATS: dict[str, Format] = {
    "jsonl": Format(json_lines.read, json_lines.write),
    "csv": Format(csv_rows.read, csv_rows.write),
    "label-studio": Format(label_studio.read, label_studio.write),
}

__all__ = ["FORMATS", "Exported", "Format", "Given"]
