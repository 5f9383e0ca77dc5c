"""Reads the rows of a file, whatever its kind: CSV, JSON Lines or Parquet.

A row keeps its place in the file, so that an error can name it. Damage is an error that names its
line. Repairs are notes.
"""

from textmod_model.training.files.csv_rows import apart
from textmod_model.training.files.opening import read
from textmod_model.training.files.table import DatasetError, Row, Table, printable

__all__ = ["DatasetError", "Row", "Table", "apart", "printable", "read"]
