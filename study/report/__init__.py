"""Rows to what a reader opens: tables, figures, findings, a paper's parts."""
