"""A fingerprint of an input table's content, the same whatever the file format or the order of rows."""

from __future__ import annotations

import hashlib

from attribution.data.engine import quote
from attribution.data.loading.load import Sources


def content_digest(sources: Sources, table: str) -> str:
    """16 hexadecimal digits of the canonical content of ``table``."""
    columns = sorted(sources.tables[table].columns)
    texts = ", ".join(f"coalesce(length({quote(c)}::varchar) || ':' || {quote(c)}::varchar, '-')" for c in columns)
    # A sum of row fingerprints: it depends on how often a row is there, not on where.
    row = sources.engine.query(
        "select count(*) as n, sum(md5_number_lower(t)::hugeint)::varchar as low, "
        "sum(md5_number_upper(t)::hugeint)::varchar as high "
        f"from (select concat_ws('|', {texts}) as t from {quote(table)})"
    ).to_pylist()[0]
    content = "\n".join([table, *columns, str(row["n"]), str(row["low"]), str(row["high"])])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
