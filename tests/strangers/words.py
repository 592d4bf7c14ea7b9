"""Words as attackers and typing errors make them."""

from __future__ import annotations

from hypothesis import strategies as st

_ODD = st.sampled_from(
    [
        *"-=@#*0",
        "",
        "--",
        "---",
        "-x",
        "--app",
        "--format",
        "--format=json",
        "a=b",
        "a:b",
        "../..",
        "/etc/shadow",
        "$(id)",
    ]
    + ["\0", "\n", "\x1b[2J", "\u202e", "\udcff", "'", '"', "\\", "%s", "{0}", "-1", "9" * 40, "1e999", "x" * 5000]
    + ["wiki", "http:80:80", "A=1", "NaN", "true", "[]", "{}", "::", "😀"]
)
WORD = _ODD | st.text(max_size=12)
